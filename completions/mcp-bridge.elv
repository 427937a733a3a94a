
use builtin;
use str;

set edit:completion:arg-completer[mcp-bridge] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'mcp-bridge'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'mcp-bridge'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand stdio-to-sse 'Serve a stdio server over HTTP+SSE, the transport of 2024-11-05'
            cand stdio-to-http 'Serve a stdio server over Streamable HTTP'
            cand serve 'Serve a stdio server over Streamable HTTP and HTTP+SSE at once'
            cand sse-to-stdio 'Be a stdio server that reaches a remote one over HTTP+SSE'
            cand http-to-stdio 'Be a stdio server that reaches a remote one over Streamable HTTP'
            cand connect 'Be a stdio server that reaches a remote one, and find out which transport it speaks'
            cand demo-server 'Be a small stdio server, to try the bridge and clients with'
            cand completions 'Print completions for a shell'
            cand man 'Print a man page, or write all of them to a directory'
        }
        &'mcp-bridge;stdio-to-sse'= {
            cand --shell 'Run this line by the shell instead of a command after -- (default: no shell)'
            cand --env 'Set a variable for the server, once for each (default: none)'
            cand --env-file 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)'
            cand --pass-env 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)'
            cand --cwd 'Start the server in this directory (default: where the bridge was started)'
            cand --stop-timeout 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h'
            cand --host 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file or --allow-unauthenticated'
            cand --port 'TCP port to listen on; 0 picks a free one and prints it'
            cand --base-url 'URL under which a reverse proxy offers the bridge (default: none)'
            cand --health-path 'Path of the liveness check; readiness is always /readyz'
            cand --allow-origin 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge''s own)'
            cand --allow-host 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)'
            cand --bearer-token-file 'Serve only who sends a bearer token of this file, one a line, # for comments; read once at the start (default: everyone)'
            cand --session-timeout 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h'
            cand --max-sessions 'Number of sessions at once; one more gets 503'
            cand --keepalive 'Time between keep-alives on an event stream, 0 for none; seconds, or 500ms, 5m, 1h'
            cand --sse-path 'Path of the HTTP+SSE event stream'
            cand --message-path 'Path that HTTP+SSE clients POST messages to'
            cand --max-message 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB'
            cand --request-timeout 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h'
            cand --grace 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h'
            cand --log-level 'Least level of log lines on stderr'
            cand --log-format 'Form of log lines'
            cand --demo 'Run the built-in demo server instead of a command after -- (default: off)'
            cand --exit-with-stdin 'End when stdin closes (default: off)'
            cand --cors 'Let pages of the allowed origins read answers in a browser (default: off)'
            cand --allow-unauthenticated 'Listen beyond loopback although everyone can call (default: off)'
            cand --shared 'Start one server for all sessions (default: one for each session)'
            cand --stateless 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
            cand --keepalive-event 'Send keep-alives as `event: ping` instead of comments (default: off)'
            cand --quiet 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mcp-bridge;stdio-to-http'= {
            cand --shell 'Run this line by the shell instead of a command after -- (default: no shell)'
            cand --env 'Set a variable for the server, once for each (default: none)'
            cand --env-file 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)'
            cand --pass-env 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)'
            cand --cwd 'Start the server in this directory (default: where the bridge was started)'
            cand --stop-timeout 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h'
            cand --host 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file or --allow-unauthenticated'
            cand --port 'TCP port to listen on; 0 picks a free one and prints it'
            cand --base-url 'URL under which a reverse proxy offers the bridge (default: none)'
            cand --health-path 'Path of the liveness check; readiness is always /readyz'
            cand --allow-origin 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge''s own)'
            cand --allow-host 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)'
            cand --bearer-token-file 'Serve only who sends a bearer token of this file, one a line, # for comments; read once at the start (default: everyone)'
            cand --session-timeout 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h'
            cand --max-sessions 'Number of sessions at once; one more gets 503'
            cand --keepalive 'Time between keep-alives on an event stream, 0 for none; seconds, or 500ms, 5m, 1h'
            cand --mcp-path 'Path of Streamable HTTP'
            cand --max-message 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB'
            cand --request-timeout 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h'
            cand --grace 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h'
            cand --log-level 'Least level of log lines on stderr'
            cand --log-format 'Form of log lines'
            cand --demo 'Run the built-in demo server instead of a command after -- (default: off)'
            cand --exit-with-stdin 'End when stdin closes (default: off)'
            cand --cors 'Let pages of the allowed origins read answers in a browser (default: off)'
            cand --allow-unauthenticated 'Listen beyond loopback although everyone can call (default: off)'
            cand --shared 'Start one server for all sessions (default: one for each session)'
            cand --stateless 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
            cand --keepalive-event 'Send keep-alives as `event: ping` instead of comments (default: off)'
            cand --quiet 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mcp-bridge;serve'= {
            cand --shell 'Run this line by the shell instead of a command after -- (default: no shell)'
            cand --env 'Set a variable for the server, once for each (default: none)'
            cand --env-file 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)'
            cand --pass-env 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)'
            cand --cwd 'Start the server in this directory (default: where the bridge was started)'
            cand --stop-timeout 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h'
            cand --host 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file or --allow-unauthenticated'
            cand --port 'TCP port to listen on; 0 picks a free one and prints it'
            cand --base-url 'URL under which a reverse proxy offers the bridge (default: none)'
            cand --health-path 'Path of the liveness check; readiness is always /readyz'
            cand --allow-origin 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge''s own)'
            cand --allow-host 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)'
            cand --bearer-token-file 'Serve only who sends a bearer token of this file, one a line, # for comments; read once at the start (default: everyone)'
            cand --session-timeout 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h'
            cand --max-sessions 'Number of sessions at once; one more gets 503'
            cand --keepalive 'Time between keep-alives on an event stream, 0 for none; seconds, or 500ms, 5m, 1h'
            cand --mcp-path 'Path of Streamable HTTP'
            cand --sse-path 'Path of the HTTP+SSE event stream'
            cand --message-path 'Path that HTTP+SSE clients POST messages to'
            cand --max-message 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB'
            cand --request-timeout 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h'
            cand --grace 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h'
            cand --log-level 'Least level of log lines on stderr'
            cand --log-format 'Form of log lines'
            cand --demo 'Run the built-in demo server instead of a command after -- (default: off)'
            cand --exit-with-stdin 'End when stdin closes (default: off)'
            cand --cors 'Let pages of the allowed origins read answers in a browser (default: off)'
            cand --allow-unauthenticated 'Listen beyond loopback although everyone can call (default: off)'
            cand --shared 'Start one server for all sessions (default: one for each session)'
            cand --stateless 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
            cand --keepalive-event 'Send keep-alives as `event: ping` instead of comments (default: off)'
            cand --quiet 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mcp-bridge;sse-to-stdio'= {
            cand -H 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)'
            cand --header 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)'
            cand --bearer 'Send this bearer token with each request, as in ''${TOKEN}'' (default: none)'
            cand --retries 'Number of further attempts after a connection fails'
            cand --retry-delay 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h'
            cand --connect-timeout 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h'
            cand --max-message 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB'
            cand --request-timeout 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h'
            cand --grace 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h'
            cand --log-level 'Least level of log lines on stderr'
            cand --log-format 'Form of log lines'
            cand --quiet 'Log errors only, whatever --log-level says (default: off)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mcp-bridge;http-to-stdio'= {
            cand -H 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)'
            cand --header 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)'
            cand --bearer 'Send this bearer token with each request, as in ''${TOKEN}'' (default: none)'
            cand --retries 'Number of further attempts after a connection fails'
            cand --retry-delay 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h'
            cand --connect-timeout 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h'
            cand --max-message 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB'
            cand --request-timeout 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h'
            cand --grace 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h'
            cand --log-level 'Least level of log lines on stderr'
            cand --log-format 'Form of log lines'
            cand --quiet 'Log errors only, whatever --log-level says (default: off)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mcp-bridge;connect'= {
            cand -H 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)'
            cand --header 'Send this header with each request, once for each, as in ''X-Api-Key: ${KEY}'' (default: none)'
            cand --bearer 'Send this bearer token with each request, as in ''${TOKEN}'' (default: none)'
            cand --retries 'Number of further attempts after a connection fails'
            cand --retry-delay 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h'
            cand --connect-timeout 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h'
            cand --max-message 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB'
            cand --request-timeout 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h'
            cand --grace 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h'
            cand --log-level 'Least level of log lines on stderr'
            cand --log-format 'Form of log lines'
            cand --quiet 'Log errors only, whatever --log-level says (default: off)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mcp-bridge;demo-server'= {
            cand --era 'Speak 2024-11-05 to 2025-11-25 (legacy), 2026-07-28 (modern), or both'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mcp-bridge;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'mcp-bridge;man'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
