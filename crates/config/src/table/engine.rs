//! Lua, WebAssembly and Kong Manager.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{Boolean, Choice, Integer, List, Path, Text};

const NO_MODULES: &str = "Lua in configuration loads no modules from files";
pub(super) const NO_WASM: &str = "WebAssembly filters are not supported";
const NO_MANAGER: &str = "Kong Manager is not part of Silverback";

pub(super) const LUA: Group = Group {
    title: "Limits and Lua",
    settings: &[
        D::new(
            "lua_max_req_headers",
            Integer(1, 1000),
            "100",
            "How many request headers plugins see.",
        )
        .nothing(
            "plugins see all that the node accepts; Lua code gets 100 unless it asks for more",
        ),
        D::new(
            "lua_max_resp_headers",
            Integer(1, 1000),
            "100",
            "How many response headers plugins see.",
        )
        .nothing("plugins see all that the node accepts"),
        D::new(
            "lua_max_uri_args",
            Integer(1, 1000),
            "100",
            "How many arguments of a query plugins see.",
        )
        .nothing(
            "plugins see all that the node accepts; Lua code gets 100 unless it asks for more",
        ),
        D::new(
            "lua_max_post_args",
            Integer(1, 1000),
            "100",
            "How many fields of a form Kong's Admin API and plugins read.",
        )
        .nothing("forms are limited by `nginx_admin_client_max_body_size`"),
        D::new(
            "lua_package_path",
            Text,
            "./?.lua;./?/init.lua;",
            "Where Lua modules are looked for.",
        )
        .nothing(NO_MODULES),
        D::new(
            "lua_package_cpath",
            Text,
            "",
            "Where compiled Lua modules are looked for.",
        )
        .nothing(NO_MODULES),
        D::new(
            "lua_socket_pool_size",
            Integer(1, i64::MAX),
            "256",
            "Connections that Lua code keeps.",
        )
        .nothing("Lua in configuration has no sockets"),
        D::new(
            "untrusted_lua",
            Choice(&["on", "off", "sandbox"]),
            "sandbox",
            "Whether configuration may hold Lua code.",
        ),
        D::new(
            "untrusted_lua_sandbox_requires",
            List,
            "",
            "Modules that such code may load.",
        ),
        D::new(
            "untrusted_lua_sandbox_environment",
            List,
            "",
            "Variables that such code may see.",
        ),
        D::new("openresty_path", Path, "", "Where OpenResty is installed.")
            .nothing("there is no OpenResty"),
    ],
};

pub(super) const WASM: Group = Group {
    title: "WebAssembly",
    settings: &[
        D::new("wasm", Boolean, "off", "Whether WebAssembly filters run.").nothing(NO_WASM),
        D::new("wasm_filters_path", Path, "", "The folder of filters.").nothing(NO_WASM),
        D::new(
            "wasm_filters",
            List,
            "bundled,user",
            "Which filters may be configured.",
        )
        .nothing(NO_WASM),
        D::new(
            "wasm_dynamic_module",
            Path,
            "",
            "The nginx module that runs filters.",
        )
        .nothing(NO_WASM),
    ],
};

pub(super) const MANAGER: Group = Group {
    title: "Kong Manager",
    settings: &[
        D::new("admin_gui_url", List, "", "Where users find Kong Manager: browsers may call the Admin API from pages of these origins only.").unset_means("from all pages"),
        D::new("admin_gui_path", Text, "/", "The path that it is served at.").nothing(NO_MANAGER),
        D::new("admin_gui_api_url", Text, "", "Where it finds the Admin API.").nothing(NO_MANAGER),
        D::new("admin_gui_ssl_cert", List, "", "Its certificates.").nothing(NO_MANAGER),
        D::new("admin_gui_ssl_cert_key", List, "", "Their keys.").secret().nothing(NO_MANAGER),
        D::new("admin_gui_access_log", Text, "logs/admin_gui_access.log", "Its access log.").nothing(NO_MANAGER),
        D::new("admin_gui_error_log", Text, "logs/admin_gui_error.log", "Its error log.").nothing(NO_MANAGER),
    ],
};
