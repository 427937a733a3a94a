
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'mcp-bridge' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'mcp-bridge'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'mcp-bridge' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('stdio-to-sse', 'stdio-to-sse', [CompletionResultType]::ParameterValue, 'Serve a stdio server over HTTP+SSE, the transport of 2024-11-05')
            [CompletionResult]::new('stdio-to-http', 'stdio-to-http', [CompletionResultType]::ParameterValue, 'Serve a stdio server over Streamable HTTP')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Serve a stdio server over Streamable HTTP and HTTP+SSE at once')
            [CompletionResult]::new('sse-to-stdio', 'sse-to-stdio', [CompletionResultType]::ParameterValue, 'Be a stdio server that reaches a remote one over HTTP+SSE')
            [CompletionResult]::new('http-to-stdio', 'http-to-stdio', [CompletionResultType]::ParameterValue, 'Be a stdio server that reaches a remote one over Streamable HTTP')
            [CompletionResult]::new('connect', 'connect', [CompletionResultType]::ParameterValue, 'Be a stdio server that reaches a remote one, and find out which transport it speaks')
            [CompletionResult]::new('demo-server', 'demo-server', [CompletionResultType]::ParameterValue, 'Be a small stdio server, to try the bridge and clients with')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a man page, or write all of them to a directory')
            break
        }
        'mcp-bridge;stdio-to-sse' {
            [CompletionResult]::new('--shell', '--shell', [CompletionResultType]::ParameterName, 'Run this line by the shell instead of a command after -- (default: no shell)')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Set a variable for the server, once for each (default: none)')
            [CompletionResult]::new('--env-file', '--env-file', [CompletionResultType]::ParameterName, 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)')
            [CompletionResult]::new('--pass-env', '--pass-env', [CompletionResultType]::ParameterName, 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)')
            [CompletionResult]::new('--cwd', '--cwd', [CompletionResultType]::ParameterName, 'Start the server in this directory (default: where the bridge was started)')
            [CompletionResult]::new('--stop-timeout', '--stop-timeout', [CompletionResultType]::ParameterName, 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--host', '--host', [CompletionResultType]::ParameterName, 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file or --allow-unauthenticated')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'TCP port to listen on; 0 picks a free one and prints it')
            [CompletionResult]::new('--base-url', '--base-url', [CompletionResultType]::ParameterName, 'URL under which a reverse proxy offers the bridge (default: none)')
            [CompletionResult]::new('--health-path', '--health-path', [CompletionResultType]::ParameterName, 'Path of the liveness check; readiness is always /readyz')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge''s own)')
            [CompletionResult]::new('--allow-host', '--allow-host', [CompletionResultType]::ParameterName, 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)')
            [CompletionResult]::new('--bearer-token-file', '--bearer-token-file', [CompletionResultType]::ParameterName, 'Serve only who sends a bearer token of this file, one a line, # for comments; read once at the start (default: everyone)')
            [CompletionResult]::new('--session-timeout', '--session-timeout', [CompletionResultType]::ParameterName, 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--max-sessions', '--max-sessions', [CompletionResultType]::ParameterName, 'Number of sessions at once; one more gets 503')
            [CompletionResult]::new('--keepalive', '--keepalive', [CompletionResultType]::ParameterName, 'Time between keep-alives on an event stream, 0 for none; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--sse-path', '--sse-path', [CompletionResultType]::ParameterName, 'Path of the HTTP+SSE event stream')
            [CompletionResult]::new('--message-path', '--message-path', [CompletionResultType]::ParameterName, 'Path that HTTP+SSE clients POST messages to')
            [CompletionResult]::new('--server-era', '--server-era', [CompletionResultType]::ParameterName, 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to')
            [CompletionResult]::new('--root', '--root', [CompletionResultType]::ParameterName, 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)')
            [CompletionResult]::new('--state-key-file', '--state-key-file', [CompletionResultType]::ParameterName, 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)')
            [CompletionResult]::new('--max-message', '--max-message', [CompletionResultType]::ParameterName, 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB')
            [CompletionResult]::new('--request-timeout', '--request-timeout', [CompletionResultType]::ParameterName, 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Least level of log lines on stderr')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of log lines')
            [CompletionResult]::new('--demo', '--demo', [CompletionResultType]::ParameterName, 'Run the built-in demo server instead of a command after -- (default: off)')
            [CompletionResult]::new('--exit-with-stdin', '--exit-with-stdin', [CompletionResultType]::ParameterName, 'End when stdin closes (default: off)')
            [CompletionResult]::new('--cors', '--cors', [CompletionResultType]::ParameterName, 'Let pages of the allowed origins read answers in a browser (default: off)')
            [CompletionResult]::new('--allow-unauthenticated', '--allow-unauthenticated', [CompletionResultType]::ParameterName, 'Listen beyond loopback although everyone can call (default: off)')
            [CompletionResult]::new('--shared', '--shared', [CompletionResultType]::ParameterName, 'Start one server for all sessions (default: one for each session)')
            [CompletionResult]::new('--stateless', '--stateless', [CompletionResultType]::ParameterName, 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)')
            [CompletionResult]::new('--keepalive-event', '--keepalive-event', [CompletionResultType]::ParameterName, 'Send keep-alives as `event: ping` instead of comments (default: off)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcp-bridge;stdio-to-http' {
            [CompletionResult]::new('--shell', '--shell', [CompletionResultType]::ParameterName, 'Run this line by the shell instead of a command after -- (default: no shell)')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Set a variable for the server, once for each (default: none)')
            [CompletionResult]::new('--env-file', '--env-file', [CompletionResultType]::ParameterName, 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)')
            [CompletionResult]::new('--pass-env', '--pass-env', [CompletionResultType]::ParameterName, 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)')
            [CompletionResult]::new('--cwd', '--cwd', [CompletionResultType]::ParameterName, 'Start the server in this directory (default: where the bridge was started)')
            [CompletionResult]::new('--stop-timeout', '--stop-timeout', [CompletionResultType]::ParameterName, 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--host', '--host', [CompletionResultType]::ParameterName, 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file or --allow-unauthenticated')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'TCP port to listen on; 0 picks a free one and prints it')
            [CompletionResult]::new('--base-url', '--base-url', [CompletionResultType]::ParameterName, 'URL under which a reverse proxy offers the bridge (default: none)')
            [CompletionResult]::new('--health-path', '--health-path', [CompletionResultType]::ParameterName, 'Path of the liveness check; readiness is always /readyz')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge''s own)')
            [CompletionResult]::new('--allow-host', '--allow-host', [CompletionResultType]::ParameterName, 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)')
            [CompletionResult]::new('--bearer-token-file', '--bearer-token-file', [CompletionResultType]::ParameterName, 'Serve only who sends a bearer token of this file, one a line, # for comments; read once at the start (default: everyone)')
            [CompletionResult]::new('--session-timeout', '--session-timeout', [CompletionResultType]::ParameterName, 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--max-sessions', '--max-sessions', [CompletionResultType]::ParameterName, 'Number of sessions at once; one more gets 503')
            [CompletionResult]::new('--keepalive', '--keepalive', [CompletionResultType]::ParameterName, 'Time between keep-alives on an event stream, 0 for none; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--mcp-path', '--mcp-path', [CompletionResultType]::ParameterName, 'Path of Streamable HTTP')
            [CompletionResult]::new('--server-era', '--server-era', [CompletionResultType]::ParameterName, 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to')
            [CompletionResult]::new('--root', '--root', [CompletionResultType]::ParameterName, 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)')
            [CompletionResult]::new('--state-key-file', '--state-key-file', [CompletionResultType]::ParameterName, 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)')
            [CompletionResult]::new('--max-message', '--max-message', [CompletionResultType]::ParameterName, 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB')
            [CompletionResult]::new('--request-timeout', '--request-timeout', [CompletionResultType]::ParameterName, 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Least level of log lines on stderr')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of log lines')
            [CompletionResult]::new('--demo', '--demo', [CompletionResultType]::ParameterName, 'Run the built-in demo server instead of a command after -- (default: off)')
            [CompletionResult]::new('--exit-with-stdin', '--exit-with-stdin', [CompletionResultType]::ParameterName, 'End when stdin closes (default: off)')
            [CompletionResult]::new('--cors', '--cors', [CompletionResultType]::ParameterName, 'Let pages of the allowed origins read answers in a browser (default: off)')
            [CompletionResult]::new('--allow-unauthenticated', '--allow-unauthenticated', [CompletionResultType]::ParameterName, 'Listen beyond loopback although everyone can call (default: off)')
            [CompletionResult]::new('--shared', '--shared', [CompletionResultType]::ParameterName, 'Start one server for all sessions (default: one for each session)')
            [CompletionResult]::new('--stateless', '--stateless', [CompletionResultType]::ParameterName, 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)')
            [CompletionResult]::new('--keepalive-event', '--keepalive-event', [CompletionResultType]::ParameterName, 'Send keep-alives as `event: ping` instead of comments (default: off)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcp-bridge;serve' {
            [CompletionResult]::new('--shell', '--shell', [CompletionResultType]::ParameterName, 'Run this line by the shell instead of a command after -- (default: no shell)')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Set a variable for the server, once for each (default: none)')
            [CompletionResult]::new('--env-file', '--env-file', [CompletionResultType]::ParameterName, 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)')
            [CompletionResult]::new('--pass-env', '--pass-env', [CompletionResultType]::ParameterName, 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)')
            [CompletionResult]::new('--cwd', '--cwd', [CompletionResultType]::ParameterName, 'Start the server in this directory (default: where the bridge was started)')
            [CompletionResult]::new('--stop-timeout', '--stop-timeout', [CompletionResultType]::ParameterName, 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--host', '--host', [CompletionResultType]::ParameterName, 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file or --allow-unauthenticated')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'TCP port to listen on; 0 picks a free one and prints it')
            [CompletionResult]::new('--base-url', '--base-url', [CompletionResultType]::ParameterName, 'URL under which a reverse proxy offers the bridge (default: none)')
            [CompletionResult]::new('--health-path', '--health-path', [CompletionResultType]::ParameterName, 'Path of the liveness check; readiness is always /readyz')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge''s own)')
            [CompletionResult]::new('--allow-host', '--allow-host', [CompletionResultType]::ParameterName, 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)')
            [CompletionResult]::new('--bearer-token-file', '--bearer-token-file', [CompletionResultType]::ParameterName, 'Serve only who sends a bearer token of this file, one a line, # for comments; read once at the start (default: everyone)')
            [CompletionResult]::new('--session-timeout', '--session-timeout', [CompletionResultType]::ParameterName, 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--max-sessions', '--max-sessions', [CompletionResultType]::ParameterName, 'Number of sessions at once; one more gets 503')
            [CompletionResult]::new('--keepalive', '--keepalive', [CompletionResultType]::ParameterName, 'Time between keep-alives on an event stream, 0 for none; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--mcp-path', '--mcp-path', [CompletionResultType]::ParameterName, 'Path of Streamable HTTP')
            [CompletionResult]::new('--sse-path', '--sse-path', [CompletionResultType]::ParameterName, 'Path of the HTTP+SSE event stream')
            [CompletionResult]::new('--message-path', '--message-path', [CompletionResultType]::ParameterName, 'Path that HTTP+SSE clients POST messages to')
            [CompletionResult]::new('--server-era', '--server-era', [CompletionResultType]::ParameterName, 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to')
            [CompletionResult]::new('--root', '--root', [CompletionResultType]::ParameterName, 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)')
            [CompletionResult]::new('--state-key-file', '--state-key-file', [CompletionResultType]::ParameterName, 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)')
            [CompletionResult]::new('--max-message', '--max-message', [CompletionResultType]::ParameterName, 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB')
            [CompletionResult]::new('--request-timeout', '--request-timeout', [CompletionResultType]::ParameterName, 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Least level of log lines on stderr')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of log lines')
            [CompletionResult]::new('--demo', '--demo', [CompletionResultType]::ParameterName, 'Run the built-in demo server instead of a command after -- (default: off)')
            [CompletionResult]::new('--exit-with-stdin', '--exit-with-stdin', [CompletionResultType]::ParameterName, 'End when stdin closes (default: off)')
            [CompletionResult]::new('--cors', '--cors', [CompletionResultType]::ParameterName, 'Let pages of the allowed origins read answers in a browser (default: off)')
            [CompletionResult]::new('--allow-unauthenticated', '--allow-unauthenticated', [CompletionResultType]::ParameterName, 'Listen beyond loopback although everyone can call (default: off)')
            [CompletionResult]::new('--shared', '--shared', [CompletionResultType]::ParameterName, 'Start one server for all sessions (default: one for each session)')
            [CompletionResult]::new('--stateless', '--stateless', [CompletionResultType]::ParameterName, 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)')
            [CompletionResult]::new('--keepalive-event', '--keepalive-event', [CompletionResultType]::ParameterName, 'Send keep-alives as `event: ping` instead of comments (default: off)')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcp-bridge;sse-to-stdio' {
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)')
            [CompletionResult]::new('--bearer', '--bearer', [CompletionResultType]::ParameterName, 'Send this bearer token with each request, as in ''${TOKEN}'' (default: none)')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Number of further attempts after a connection fails')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--server-era', '--server-era', [CompletionResultType]::ParameterName, 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to')
            [CompletionResult]::new('--root', '--root', [CompletionResultType]::ParameterName, 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)')
            [CompletionResult]::new('--state-key-file', '--state-key-file', [CompletionResultType]::ParameterName, 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)')
            [CompletionResult]::new('--max-message', '--max-message', [CompletionResultType]::ParameterName, 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB')
            [CompletionResult]::new('--request-timeout', '--request-timeout', [CompletionResultType]::ParameterName, 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Least level of log lines on stderr')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of log lines')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only, whatever --log-level says (default: off)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcp-bridge;http-to-stdio' {
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)')
            [CompletionResult]::new('--bearer', '--bearer', [CompletionResultType]::ParameterName, 'Send this bearer token with each request, as in ''${TOKEN}'' (default: none)')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Number of further attempts after a connection fails')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--server-era', '--server-era', [CompletionResultType]::ParameterName, 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to')
            [CompletionResult]::new('--root', '--root', [CompletionResultType]::ParameterName, 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)')
            [CompletionResult]::new('--state-key-file', '--state-key-file', [CompletionResultType]::ParameterName, 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)')
            [CompletionResult]::new('--max-message', '--max-message', [CompletionResultType]::ParameterName, 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB')
            [CompletionResult]::new('--request-timeout', '--request-timeout', [CompletionResultType]::ParameterName, 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Least level of log lines on stderr')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of log lines')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only, whatever --log-level says (default: off)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcp-bridge;connect' {
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)')
            [CompletionResult]::new('--bearer', '--bearer', [CompletionResultType]::ParameterName, 'Send this bearer token with each request, as in ''${TOKEN}'' (default: none)')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Number of further attempts after a connection fails')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--server-era', '--server-era', [CompletionResultType]::ParameterName, 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to')
            [CompletionResult]::new('--root', '--root', [CompletionResultType]::ParameterName, 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)')
            [CompletionResult]::new('--state-key-file', '--state-key-file', [CompletionResultType]::ParameterName, 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)')
            [CompletionResult]::new('--max-message', '--max-message', [CompletionResultType]::ParameterName, 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB')
            [CompletionResult]::new('--request-timeout', '--request-timeout', [CompletionResultType]::ParameterName, 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Least level of log lines on stderr')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of log lines')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Log errors only, whatever --log-level says (default: off)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcp-bridge;demo-server' {
            [CompletionResult]::new('--era', '--era', [CompletionResultType]::ParameterName, 'Speak 2024-11-05 to 2025-11-25 (legacy), 2026-07-28 (modern), or both')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcp-bridge;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcp-bridge;man' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
