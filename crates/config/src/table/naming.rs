//! How names of upstreams become addresses.

use crate::declaration::Declaration as D;
use crate::declaration::Group;
use crate::declaration::Kind::{Boolean, Integer, List, ListOf, Number, Path, Size};

const ANY: f64 = f64::INFINITY;

pub(super) const DNS: Group = Group {
    title: "Name resolution",
    settings: &[
        D::new(
            "dns_resolver",
            List,
            "",
            "Name servers, as `ip` or `ip:port`.",
        )
        .unset_means("those of `/etc/resolv.conf`"),
        D::new("dns_hostsfile", Path, "/etc/hosts", "The hosts file."),
        D::new(
            "dns_order",
            ListOf(&["LAST", "SRV", "A", "AAAA", "CNAME"]),
            "LAST,SRV,A,CNAME",
            "The record types to ask for, in order; `LAST` is the type that answered the last time.",
        ),
        D::new(
            "dns_valid_ttl",
            Number(0.0, ANY),
            "",
            "Seconds that an answer is valid.",
        )
        .unset_means("what the answer says"),
        D::new(
            "dns_stale_ttl",
            Number(0.0, ANY),
            "3600",
            "Seconds that an expired answer serves while a new one is fetched.",
        ),
        D::new(
            "dns_cache_size",
            Integer(1, i64::MAX),
            "10000",
            "Answers that are remembered.",
        ),
        D::new(
            "dns_not_found_ttl",
            Number(0.0, ANY),
            "30",
            "Seconds that the absence of a name is remembered.",
        ),
        D::new(
            "dns_error_ttl",
            Number(0.0, ANY),
            "1",
            "Seconds that a failure is remembered.",
        ),
        D::new(
            "dns_no_sync",
            Boolean,
            "off",
            "Whether requests for one name ask the name server each on their own rather than share an answer.",
        ),
        D::new(
            "new_dns_client",
            Boolean,
            "off",
            "Whether the `resolver_` settings count and not the `dns_` ones.",
        ),
        D::new(
            "resolver_address",
            List,
            "",
            "Name servers, for `new_dns_client`.",
        )
        .unset_means("those of `/etc/resolv.conf`"),
        D::new(
            "resolver_hosts_file",
            Path,
            "/etc/hosts",
            "The hosts file, for `new_dns_client`.",
        ),
        D::new(
            "resolver_family",
            ListOf(&["A", "AAAA", "SRV"]),
            "A,SRV",
            "The record types to ask for, for `new_dns_client`.",
        ),
        D::new(
            "resolver_valid_ttl",
            Number(0.0, ANY),
            "",
            "Seconds that an answer is valid, for `new_dns_client`.",
        )
        .unset_means("what the answer says"),
        D::new(
            "resolver_error_ttl",
            Number(0.0, ANY),
            "1",
            "Seconds that a failure is remembered, for `new_dns_client`.",
        ),
        D::new(
            "resolver_stale_ttl",
            Number(0.0, ANY),
            "3600",
            "Seconds that an expired answer serves, for `new_dns_client`.",
        ),
        D::new(
            "resolver_lru_cache_size",
            Integer(1, i64::MAX),
            "10000",
            "Answers that are remembered, for `new_dns_client`.",
        ),
        D::new(
            "resolver_mem_cache_size",
            Size,
            "5m",
            "Memory that Kong's workers share for answers.",
        )
        .nothing("memory is taken as it is needed"),
    ],
};
