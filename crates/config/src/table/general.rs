//! What the node is, where it keeps its files, and its logs.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{
    Boolean, Choice, Integer, List, ListOf, Number, Path, Size, Switch, Text,
};

pub(super) const GENERAL: Group = Group {
    title: "General",
    settings: &[
        D::new("prefix", Path, "", "The node's working folder: its store, process id, logs, generated certificates and sockets.")
            .unset_means("`/usr/local/kong` if that can be written or created there, else `.silverback` in the home folder, else `./.silverback`"),
        D::new("role", Choice(&["traditional", "control_plane", "data_plane"]), "traditional", "Whether the node does everything itself. Only `traditional` is possible; every Silverback node is both control plane and data plane."),
        D::new("node_id", Text, "", "The node's identity, a UUID.")
            .unset_means("made at the first start and kept in `<prefix>/kong.id`"),
        D::new("nginx_worker_processes", Text, "auto", "How many worker threads serve traffic: a number, or `auto` for one a core.")
            .feeds(&["nginx_main_worker_processes"]),
        D::new("nginx_daemon", Switch, "on", "Whether `start` leaves the node in the background. `run` never does.")
            .feeds(&["nginx_main_daemon"]),
        D::new("nginx_user", Text, "", "User and group of nginx's workers.")
            .feeds(&["nginx_main_user"])
            .nothing("the node runs as the user that starts it and never changes it"),
        D::new("anonymous_reports", Boolean, "on", "Kong reports usage to its maker. Silverback never reports anything, whatever this says."),
        D::new("plugins", List, "bundled", "Which plugins may be configured: `bundled`, `off`, or names."),
        D::new("vaults", List, "bundled", "Which vaults references may name: `bundled` or names. Only `env` exists."),
        D::new("vault_env_prefix", Text, "", "What the names of variables begin with that `{vault://env/…}` references in settings read."),
        D::new("pluginserver_names", List, "", "Names of external plugin servers.")
            .nothing("external plugin servers are not supported"),
        D::new("router_flavor", Choice(&["traditional", "traditional_compatible", "expressions"]), "traditional_compatible", "How routes are written and ranked."),
        D::new("worker_consistency", Choice(&["strict", "eventual"]), "eventual", "Whether requests wait for a new configuration. A change is compiled aside and swapped in whole, so there is nothing to wait for.")
            .nothing("every worker takes a change at the same instant"),
        D::new("router_consistency", Choice(&["strict", "eventual"]), "", "The older name of `worker_consistency`.")
            .replaced_by("worker_consistency")
            .nothing("every worker takes a change at the same instant"),
        D::new("worker_state_update_frequency", Number(0.000_001, f64::INFINITY), "5", "How often Kong's workers look for changes, in seconds.")
            .nothing("a change is announced to the workers, they do not look for it"),
        D::new("dedicated_config_processing", Boolean, "on", "Whether configuration is processed aside from traffic. It always is.")
            .nothing("configuration is always processed on threads of its own"),
        D::new("privileged_worker", Boolean, "", "The older name of `dedicated_config_processing`.")
            .replaced_by("dedicated_config_processing")
            .nothing("configuration is always processed on threads of its own"),
        D::new("worker_events_max_payload", Integer(0, i64::MAX), "65535", "The largest message between Kong's workers, in bytes.")
            .nothing("workers share memory and send each other no messages"),
        D::new("mem_cache_size", Size, "128m", "How much memory a cache may take: the records that plugins looked up, and each cache of `proxy-cache`."),
        D::new("kic", Boolean, "off", "Whether Kong's ingress controller drives the node.")
            .nothing("the Admin API serves the ingress controller without being told"),
        D::new("port_maps", List, "", "Outside ports for listening ports, as `outside:inside`: what a client of a port-mapped container dialled. Used in `X-Forwarded-Port` and when a route names ports."),
        D::new("request_debug", Boolean, "on", "Whether a request with `X-Kong-Request-Debug` gets timings in its answer.")
            .nothing("requests are not timed by phase"),
        D::new("request_debug_token", Text, "", "The token that such a request needs.")
            .secret()
            .nothing("requests are not timed by phase"),
        D::new("admin_apply_timeout", Number(0.0, 60.0), "2", "How long, in seconds, the answer to an Admin API write waits until this node's proxy uses the change.")
            .own(),
        D::new("silverback_readiness", Choice(&["serve", "strict"]), "serve", "When `/status/ready` says yes: `serve`, whenever the node can serve, if need be from its copy of the configuration; `strict`, only while the database answers as well, as Kong does.")
            .own(),
        D::new("silverback_quit_grace", Number(0.0, 60.0), "2", "How long, in seconds, a node that was told to quit keeps client connections that wait for a request: a load balancer may have sent one already. Every answer says `Connection: close` meanwhile.")
            .own(),
        D::new("silverback_held_bodies", Size, "256m", "How much memory request and response bodies may take together while they are held as a whole because a plugin looks at them, such as those of `ai-proxy` and `aws-lambda`; 0 for no limit. Only bodies over 64 KiB count. Beyond it, requests are answered 503.")
            .own(),
        D::new("sqlite_path", Path, "", "The file of the embedded store.")
            .unset_means("`<prefix>/silverback.db`")
            .own(),
    ],
};

const LOG: &str = "A file, relative to the prefix, or `/dev/stdout`, `/dev/stderr` or `off`.";

pub(super) const LOGS: Group = Group {
    title: "Logs",
    settings: &[
        D::new(
            "log_level",
            Choice(&[
                "debug", "info", "notice", "warn", "error", "crit", "alert", "emerg",
            ]),
            "notice",
            "The least severe lines that error logs get. It can be changed while the node runs, with `PUT /debug/node/log-level/…`.",
        ),
        D::new(
            "proxy_access_log",
            Text,
            "logs/access.log",
            "Where proxied requests are logged: a file, relative to the prefix, `/dev/stdout`, `/dev/stderr` or `off`, and after it the name of a format: `kong_log_format` (nginx's `combined` and the request id; the default), `combined` or `basic` (the same as `combined`).",
        ),
        D::new(
            "proxy_error_log",
            Text,
            "logs/error.log",
            "The error log. `run` writes it to the terminal unless this is set.",
        ),
        D::new(
            "proxy_stream_access_log",
            Text,
            "logs/access.log basic",
            "Where TCP and TLS sessions are logged.",
        )
        .nothing("there are no stream listeners"),
        D::new(
            "proxy_stream_error_log",
            Text,
            "logs/error.log",
            "The error log of stream proxying.",
        )
        .nothing("the node has one error log, `proxy_error_log`"),
        D::new("admin_access_log", Text, "logs/admin_access.log", LOG),
        D::new(
            "admin_error_log",
            Text,
            "logs/error.log",
            "The error log of the Admin API.",
        )
        .nothing("the node has one error log, `proxy_error_log`"),
        D::new("status_access_log", Text, "off", LOG),
        D::new(
            "status_error_log",
            Text,
            "logs/status_error.log",
            "The error log of the Status API.",
        )
        .nothing("the node has one error log, `proxy_error_log`"),
        D::new(
            "tracing_instrumentations",
            ListOf(&[
                "off",
                "all",
                "request",
                "db_query",
                "dns_query",
                "router",
                "http_client",
                "balancer",
                "plugin_certificate",
                "plugin_rewrite",
                "plugin_access",
                "plugin_header_filter",
            ]),
            "off",
            "Which parts of a request the spans of `opentelemetry` describe: `request`, `balancer` and those of plugins \
             in `rewrite`, `access` and `header_filter`. There are none of the other parts.",
        ),
        D::new(
            "opentelemetry_tracing",
            List,
            "off",
            "The older name of `tracing_instrumentations`.",
        )
        .replaced_by("tracing_instrumentations"),
        D::new(
            "tracing_sampling_rate",
            Number(0.0, 1.0),
            "0.01",
            "The share of requests that `opentelemetry` traces, unless it has a rate of its own.",
        ),
        D::new(
            "opentelemetry_tracing_sampling_rate",
            Number(0.0, 1.0),
            "0.01",
            "The older name of `tracing_sampling_rate`.",
        )
        .replaced_by("tracing_sampling_rate"),
    ],
};
