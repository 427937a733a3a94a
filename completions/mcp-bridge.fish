# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mcp_bridge_global_optspecs
    string join \n h/help V/version
end

function __fish_mcp_bridge_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mcp_bridge_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mcp_bridge_using_subcommand
    set -l cmd (__fish_mcp_bridge_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -s V -l version -d 'Print version'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "serve" -d 'Serve a command or a URL over HTTP+SSE, Streamable HTTP and WebSocket at once'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "connect" -d 'Be a stdio server in front of a URL, whatever transport it speaks, or of a command'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "stdio-to-sse" -d 'Serve a stdio server over HTTP+SSE'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "stdio-to-http" -d 'Serve a stdio server over Streamable HTTP'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "stdio-to-ws" -d 'Serve a stdio server over WebSocket'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "sse-to-stdio" -d 'Be a stdio server that reaches a remote one over HTTP+SSE'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "sse-to-http" -d 'Serve a remote HTTP+SSE server over Streamable HTTP'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "sse-to-ws" -d 'Serve a remote HTTP+SSE server over WebSocket'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "http-to-stdio" -d 'Be a stdio server that reaches a remote one over Streamable HTTP'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "http-to-sse" -d 'Serve a remote Streamable HTTP server over HTTP+SSE'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "http-to-ws" -d 'Serve a remote Streamable HTTP server over WebSocket'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "ws-to-stdio" -d 'Be a stdio server that reaches a remote one over WebSocket'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "ws-to-sse" -d 'Serve a remote WebSocket server over HTTP+SSE'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "ws-to-http" -d 'Serve a remote WebSocket server over Streamable HTTP'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "login" -d 'Log in to a remote server now, and keep the token for the commands that reach it'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "logout" -d 'Forget the token for a remote server, and have it revoked'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "auth" -d 'Show what is kept of logins, without the tokens'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "demo-server" -d 'Be a small stdio server, to try the bridge and clients with'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "status" -d 'Say which servers of a running bridge can be had, and why others cannot'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c mcp-bridge -n "__fish_mcp_bridge_needs_command" -f -a "man" -d 'Print a man page, or write all of them to a directory'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l shell -d 'Run this line by the shell instead of a command after -- (default: no shell)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l env -d 'Set a variable for the server, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l env-file -d 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l pass-env -d 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l cwd -d 'Start the server in this directory (default: where the bridge was started)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l stop-timeout -d 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l sse-path -d 'Path of the HTTP+SSE event stream' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l message-path -d 'Path that HTTP+SSE clients POST messages to' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l mcp-path -d 'Path of Streamable HTTP' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l ws-path -d 'Path of WebSocket' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -s o -l output -d 'Serve over these wires only, separated by commas (default: all)' -r -f -a "sse\t''
http\t''
ws\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l config -d 'Serve the servers of this file instead of one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l aggregate-prefix -d 'What stands before the names of a server\'s tools and prompts there' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l demo -d 'Run the built-in demo server instead of a command after -- (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l aggregate -d 'Offer all servers of --config as one at the root, too (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l dry-run -d 'Print what would be started and reached, and end, with exit code 1 if servers of --config would be left out (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand serve" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l shell -d 'Run this line by the shell instead of a command after -- (default: no shell)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l env -d 'Set a variable for the server, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l env-file -d 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l pass-env -d 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l cwd -d 'Start the server in this directory (default: where the bridge was started)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l stop-timeout -d 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l demo -d 'Run the built-in demo server instead of a command after -- (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -l quiet -d 'Log errors only, whatever --log-level says (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand connect" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l shell -d 'Run this line by the shell instead of a command after -- (default: no shell)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l env -d 'Set a variable for the server, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l env-file -d 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l pass-env -d 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l cwd -d 'Start the server in this directory (default: where the bridge was started)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l stop-timeout -d 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l sse-path -d 'Path of the HTTP+SSE event stream' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l message-path -d 'Path that HTTP+SSE clients POST messages to' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l demo -d 'Run the built-in demo server instead of a command after -- (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-sse" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l shell -d 'Run this line by the shell instead of a command after -- (default: no shell)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l env -d 'Set a variable for the server, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l env-file -d 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l pass-env -d 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l cwd -d 'Start the server in this directory (default: where the bridge was started)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l stop-timeout -d 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l mcp-path -d 'Path of Streamable HTTP' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l demo -d 'Run the built-in demo server instead of a command after -- (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-http" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l shell -d 'Run this line by the shell instead of a command after -- (default: no shell)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l env -d 'Set a variable for the server, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l env-file -d 'Set the variables of this file, NAME=VALUE a line, before those of --env (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l pass-env -d 'Pass on only these variables and the basic ones (PATH, HOME, ...): NAME, PREFIX*, none, or all (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l cwd -d 'Start the server in this directory (default: where the bridge was started)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l stop-timeout -d 'Time to end after stdin closes, and again after SIGTERM, before SIGKILL; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l ws-path -d 'Path of WebSocket' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l demo -d 'Run the built-in demo server instead of a command after -- (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand stdio-to-ws" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -l quiet -d 'Log errors only, whatever --log-level says (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-stdio" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l mcp-path -d 'Path of Streamable HTTP' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-http" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l ws-path -d 'Path of WebSocket' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand sse-to-ws" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -l quiet -d 'Log errors only, whatever --log-level says (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-stdio" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l sse-path -d 'Path of the HTTP+SSE event stream' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l message-path -d 'Path that HTTP+SSE clients POST messages to' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-sse" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l ws-path -d 'Path of WebSocket' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand http-to-ws" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -l quiet -d 'Log errors only, whatever --log-level says (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-stdio" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l sse-path -d 'Path of the HTTP+SSE event stream' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l message-path -d 'Path that HTTP+SSE clients POST messages to' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-sse" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -s H -l header -d 'Send this header with each request, once for each, as in \'X-Api-Key: ${KEY}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l bearer -d 'Send this bearer token with each request, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l retries -d 'Number of further attempts after a connection fails' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l retry-delay -d 'Time before the second attempt, doubled each time up to 30s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l connect-timeout -d 'Time for each attempt to connect; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l host -d 'IP address to listen on, or localhost; beyond loopback it takes --bearer-token-file, --tls-client-ca or --allow-unauthenticated (default: 127.0.0.1, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l port -d 'TCP port to listen on; 0 picks a free one and prints it (default: 8000, but none beside --unix or sockets of systemd)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l unix -d 'Listen on a Unix socket at this path (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l unix-mode -d 'Mode of the Unix socket\'s file: 600 lets this user connect, 660 also its group' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l tls-cert -d 'Speak TLS on TCP with the certificate in this PEM file, then those of its authorities; read again when it changes (default: no TLS)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l tls-key -d 'The certificate\'s key, a PEM file (default: the file of --tls-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l tls-client-ca -d 'Serve over TLS only who shows a certificate that an authority in this PEM file signed (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l base-url -d 'URL under which a reverse proxy offers the bridge (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l health-path -d 'Path of the liveness check; readiness is always /readyz' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l allow-origin -d 'Serve pages of this origin too, scheme://host[:port], once for each (default: only the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l allow-host -d 'Serve this name or name:port of the Host header too, once for each (default: loopback and the address bound)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l bearer-token-file -d 'Serve only who sends a bearer token of this file, one a line, or name: token; # begins a comment; read again when it changes (default: everyone)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l api-key-header -d 'Take a token in this header, too, as X-Api-Key (default: Authorization only)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-issuer -d 'Serve only who sends a token that this authorization server issued for the bridge (default: everyone)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-audience -d 'What tokens are to be issued for, once for each (default: the URL that is called, or the bridge\'s own)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-scope -d 'A scope that every call needs, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-tool-scope -d 'A scope that calls of the tools of this name need, * for any characters, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-jwks-url -d 'Where the authorization server\'s keys are (default: where its metadata says)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-algorithm -d 'How tokens may be signed, once for each: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA (default: all of these)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-leeway -d 'How far the authorization server\'s clock may be from the bridge\'s; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-introspection-url -d 'Ask the authorization server here about each token instead of checking its signature (default: off)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-introspection-client -d 'The client that the bridge is when it asks (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-introspection-secret-file -d 'A file with that client\'s secret (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l oauth-introspection-cache -d 'For how long the answer about a token is believed; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l rate-limit -d 'Serve each caller so many requests a second, minute or hour, and so many at once; more get 429: 20, 600/m, 5000/h (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l max-concurrent -d 'Number of calls of one caller at once; one more gets 429 (default: no limit)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l trusted-proxy -d 'Take the client\'s address from the X-Forwarded-For of this reverse proxy: an IP address, a network as in 10.0.0.0/8, or unix, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l audit-log -d 'Append a JSON line to this file for each session, call and refusal: who, what, and what came of it, never what was said; - for stderr; opened again on SIGHUP (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l max-children -d 'Number of the server\'s processes at once, spares included; one more is refused (default: as many as sessions)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l warm -d 'Number of processes to start before they are needed; each session takes one (default: 0)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l idle-timeout -d 'Time without use after which a process that callers share ends until it is needed, 0 for never; seconds, or 500ms, 5m, 1h (default: 0, but 5m for pooled ones without a session, and for those kept for modern clients of an older server)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l header-env -d 'Give each caller\'s own server this header\'s value as a variable, once for each, as in X-Github-Token=GITHUB_TOKEN (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l claim-env -d 'Give each caller\'s own server this claim of the caller\'s token as a variable, once for each, as in sub=GITHUB_USER; needs --oauth-issuer (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l session-timeout -d 'Time without traffic after which a session ends; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l max-sessions -d 'Number of sessions at once; one more gets 503' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l keepalive -d 'Time between keep-alives on an event stream, or pings on a WebSocket connection, 0 for none; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l mcp-path -d 'Path of Streamable HTTP' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l server-era -d 'Revisions that the server speaks: legacy is up to 2025-11-25, modern is 2026-07-28, auto is what it answers to' -r -f -a "auto\t''
legacy\t''
modern\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l root -d 'Name this directory or file:// URI to a legacy server that asks a modern client for roots outside of any call, once for each (default: none)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l state-key-file -d 'Seal requestState with the key in this file, which is made if it is not there (default: a key for this run)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l allow-tool -d 'Offer only tools whose name matches, as in \'read_*\', once for each (default: all)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l deny-tool -d 'Offer no tool whose name matches, whatever is allowed, once for each (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l max-message -d 'Size of the largest message; bytes, or 64KiB, 1MB, 16MiB' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l request-timeout -d 'Time after which an unanswered request fails, 0 for never; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l grace -d 'Time for calls to finish after SIGTERM or Ctrl-C; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l log-level -d 'Least level of log lines on stderr' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l log-format -d 'Form of log lines' -r -f -a "text\t''
json\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l exit-with-stdin -d 'End when stdin closes (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l cors -d 'Let pages of the allowed origins read answers in a browser (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l allow-unauthenticated -d 'Listen beyond loopback although everyone can call (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l shared -d 'Start one server for all sessions (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l pooled -d 'Start one server for all sessions of one caller that declare the same capabilities (default: one for each session)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l stateless -d 'Keep no sessions: each POST stands alone; Streamable HTTP only (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l keepalive-event -d 'Send keep-alives as `event: ping` instead of comments (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -l quiet -d 'Log errors only, whatever --log-level says, and print at the start only the address (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand ws-to-http" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l client-id -d 'Be this client, which is registered with the authorization server (default: register by itself)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l client-secret-file -d 'Prove it with the secret in this file (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l client-key-file -d 'Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l client-metadata-url -d 'URL of a published document about this client, for servers that take it for a client id (default: none)' -r -f
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l scope -d 'Ask for this scope, once for each (default: those that the server names)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l callback-port -d 'Port on 127.0.0.1 that the browser comes back to; 0 picks a free one' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l auth-timeout -d 'Time for the user to log in; seconds, or 500ms, 5m, 1h' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l no-browser -d 'Open no browser: say which page to open (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l device -d 'Log in on another device, with a short code (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l client-credentials -d 'Log in as the client itself, without a user; takes --client-id (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l no-login -d 'Never log in: a refusal is the last word (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand login" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand logout" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand logout" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand logout" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand logout" -l client-secret-file -d 'Prove with the secret in this file that the tokens are this client\'s; for one of --client-id (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand logout" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand logout" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand logout" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand auth" -l auth-dir -d 'Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)' -r -f -a "(__fish_complete_directories)"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand auth" -l auth-keyring -d 'Seal tokens there under a key in the system\'s keyring; for builds with the feature `keyring` (default: off)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand auth" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand demo-server" -l era -d 'Speak 2024-11-05 to 2025-11-25 (legacy), 2026-07-28 (modern), or both' -r -f -a "legacy\t''
modern\t''
both\t''"
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand demo-server" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand status" -l bearer -d 'Show this bearer token to a bridge that asks for one, as in \'${TOKEN}\' (default: none)' -r
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand status" -l ca-file -d 'Trust the authorities in this PEM file, too (default: those of the system)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand status" -l client-cert -d 'Show the certificate in this PEM file to a server that asks for one (default: none)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand status" -l client-key -d 'The certificate\'s key, a PEM file (default: the file of --client-cert)' -r -F
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand status" -l json -d 'Print JSON (default: a table)'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand status" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand completions" -s h -l help -d 'Print help'
complete -c mcp-bridge -n "__fish_mcp_bridge_using_subcommand man" -s h -l help -d 'Print help'
