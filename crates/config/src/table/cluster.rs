//! Kong's hybrid mode, and outgoing proxies.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{Boolean, Choice, Integer, List, Text};

const NO_HYBRID: &str = "there is no hybrid mode";

pub(super) const HYBRID: Group = Group {
    title: "Hybrid mode",
    settings: &[
        D::new(
            "cluster_control_plane",
            Text,
            "127.0.0.1:8005",
            "Where a data plane finds its control plane.",
        )
        .nothing(NO_HYBRID),
        D::new(
            "cluster_mtls",
            Choice(&["shared", "pki"]),
            "shared",
            "How control plane and data planes check each other.",
        )
        .nothing(NO_HYBRID),
        D::new("cluster_cert", Text, "", "The certificate that they share.").nothing(NO_HYBRID),
        D::new("cluster_cert_key", Text, "", "Its key.")
            .secret()
            .nothing(NO_HYBRID),
        D::new(
            "cluster_ca_cert",
            Text,
            "",
            "The authority of their certificates.",
        )
        .nothing(NO_HYBRID),
        D::new(
            "cluster_server_name",
            Text,
            "",
            "The name in the control plane's certificate.",
        )
        .nothing(NO_HYBRID),
        D::new(
            "cluster_max_payload",
            Integer(4_194_304, i64::MAX),
            "16777216",
            "The largest configuration that is sent, in bytes.",
        )
        .nothing(NO_HYBRID),
        D::new("cluster_dp_labels", List, "", "Labels of a data plane.").nothing(NO_HYBRID),
        D::new(
            "cluster_data_plane_purge_delay",
            Integer(60, i64::MAX),
            "1209600",
            "Seconds after which a silent data plane is forgotten.",
        )
        .nothing(NO_HYBRID),
        D::new(
            "cluster_ocsp",
            Choice(&["on", "off", "optional"]),
            "off",
            "Whether certificates are checked for revocation.",
        )
        .nothing(NO_HYBRID),
        D::new(
            "cluster_use_proxy",
            Boolean,
            "off",
            "Whether a data plane connects through `proxy_server`.",
        )
        .nothing(NO_HYBRID),
        D::new(
            "cluster_rpc",
            Boolean,
            "off",
            "Whether the two planes use remote calls.",
        )
        .nothing(NO_HYBRID),
        D::new(
            "cluster_incremental_sync",
            Boolean,
            "off",
            "Whether only changes are sent.",
        )
        .nothing(NO_HYBRID),
        D::new(
            "cluster_cjson",
            Boolean,
            "off",
            "Which JSON encoder is used.",
        )
        .nothing(NO_HYBRID),
    ],
};

pub(super) const OBSERVABILITY: Group = Group {
    title: "Outgoing proxy",
    settings: &[
        D::new(
            "proxy_server",
            Text,
            "",
            "A forward proxy for the node's own connections.",
        )
        .secret()
        .nothing("only a data plane of hybrid mode would use it"),
        D::new(
            "proxy_server_ssl_verify",
            Boolean,
            "on",
            "Whether that proxy's certificate is checked.",
        )
        .nothing("only a data plane of hybrid mode would use it"),
    ],
};
