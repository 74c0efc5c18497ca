//! The header names that the proxy and its plugins ask for on many requests, as numbers.

use crate::token::same_name;

/// Room for the longest name with a colon and a blank.
pub(crate) const LINE_START: usize = 32;

const fn line_start(name: &str) -> [u8; LINE_START] {
    let mut start = [b' '; LINE_START];
    let name = name.as_bytes();
    let mut at = 0;
    while at < name.len() {
        start[at] = name[at];
        at += 1;
    }
    start[at] = b':';
    start
}

macro_rules! known {
    ($($variant:ident $name:literal $lower:literal,)*) => {
        /// A header name that is recognised while a head is parsed, so that asking for it costs one table access.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Known {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other name.
            Other,
        }

        impl Known {
            /// Every name but [`Known::Other`].
            pub const ALL: &'static [Known] = &[$(Known::$variant,)*];

            /// The name as it is usually written; empty for [`Known::Other`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(Known::$variant => $name,)*
                    Known::Other => "",
                }
            }

            /// The start of a header line with this name, filled up with blanks, and its length; nothing for
            /// [`Known::Other`].
            #[inline(always)]
            pub(crate) fn line_start(self) -> Option<(&'static [u8; LINE_START], usize)> {
                static STARTS: [([u8; LINE_START], usize); Known::COUNT] =
                    [$((line_start($name), $name.len() + 2),)*];
                STARTS.get(self as usize).map(|(start, len)| (start, *len))
            }

            #[inline(always)]
            fn is(self, name: &[u8]) -> bool {
                match self {
                    $(Known::$variant => same_name(name, $lower),)*
                    Known::Other => false,
                }
            }
        }
    };
}

known! {
    Accept "Accept" b"accept",
    AcceptEncoding "Accept-Encoding" b"accept-encoding",
    AcceptLanguage "Accept-Language" b"accept-language",
    Authorization "Authorization" b"authorization",
    CacheControl "Cache-Control" b"cache-control",
    Connection "Connection" b"connection",
    ContentEncoding "Content-Encoding" b"content-encoding",
    ContentLength "Content-Length" b"content-length",
    ContentType "Content-Type" b"content-type",
    Cookie "Cookie" b"cookie",
    Date "Date" b"date",
    Etag "ETag" b"etag",
    Expect "Expect" b"expect",
    Forwarded "Forwarded" b"forwarded",
    Host "Host" b"host",
    LastModified "Last-Modified" b"last-modified",
    KeepAlive "Keep-Alive" b"keep-alive",
    Location "Location" b"location",
    Origin "Origin" b"origin",
    Proxy "Proxy" b"proxy",
    ProxyConnection "Proxy-Connection" b"proxy-connection",
    RateLimitLimit "RateLimit-Limit" b"ratelimit-limit",
    RateLimitRemaining "RateLimit-Remaining" b"ratelimit-remaining",
    RateLimitReset "RateLimit-Reset" b"ratelimit-reset",
    Referer "Referer" b"referer",
    Server "Server" b"server",
    SetCookie "Set-Cookie" b"set-cookie",
    Te "TE" b"te",
    Trailer "Trailer" b"trailer",
    TransferEncoding "Transfer-Encoding" b"transfer-encoding",
    Upgrade "Upgrade" b"upgrade",
    UserAgent "User-Agent" b"user-agent",
    Vary "Vary" b"vary",
    Via "Via" b"via",
    XAnonymousConsumer "X-Anonymous-Consumer" b"x-anonymous-consumer",
    XConsumerCustomId "X-Consumer-Custom-ID" b"x-consumer-custom-id",
    XConsumerId "X-Consumer-ID" b"x-consumer-id",
    XConsumerUsername "X-Consumer-Username" b"x-consumer-username",
    XCredentialIdentifier "X-Credential-Identifier" b"x-credential-identifier",
    XForwardedFor "X-Forwarded-For" b"x-forwarded-for",
    XForwardedHost "X-Forwarded-Host" b"x-forwarded-host",
    XForwardedPath "X-Forwarded-Path" b"x-forwarded-path",
    XForwardedPort "X-Forwarded-Port" b"x-forwarded-port",
    XForwardedPrefix "X-Forwarded-Prefix" b"x-forwarded-prefix",
    XForwardedProto "X-Forwarded-Proto" b"x-forwarded-proto",
    XKongProxyLatency "X-Kong-Proxy-Latency" b"x-kong-proxy-latency",
    XKongRequestId "X-Kong-Request-Id" b"x-kong-request-id",
    XKongResponseLatency "X-Kong-Response-Latency" b"x-kong-response-latency",
    XKongUpstreamLatency "X-Kong-Upstream-Latency" b"x-kong-upstream-latency",
    XKongUpstreamStatus "X-Kong-Upstream-Status" b"x-kong-upstream-status",
    XRateLimitLimitDay "X-RateLimit-Limit-Day" b"x-ratelimit-limit-day",
    XRateLimitLimitHour "X-RateLimit-Limit-Hour" b"x-ratelimit-limit-hour",
    XRateLimitLimitMinute "X-RateLimit-Limit-Minute" b"x-ratelimit-limit-minute",
    XRateLimitLimitMonth "X-RateLimit-Limit-Month" b"x-ratelimit-limit-month",
    XRateLimitLimitSecond "X-RateLimit-Limit-Second" b"x-ratelimit-limit-second",
    XRateLimitLimitYear "X-RateLimit-Limit-Year" b"x-ratelimit-limit-year",
    XRateLimitRemainingDay "X-RateLimit-Remaining-Day" b"x-ratelimit-remaining-day",
    XRateLimitRemainingHour "X-RateLimit-Remaining-Hour" b"x-ratelimit-remaining-hour",
    XRateLimitRemainingMinute "X-RateLimit-Remaining-Minute" b"x-ratelimit-remaining-minute",
    XRateLimitRemainingMonth "X-RateLimit-Remaining-Month" b"x-ratelimit-remaining-month",
    XRateLimitRemainingSecond "X-RateLimit-Remaining-Second" b"x-ratelimit-remaining-second",
    XRateLimitRemainingYear "X-RateLimit-Remaining-Year" b"x-ratelimit-remaining-year",
    XRealIp "X-Real-IP" b"x-real-ip",
}

/// [`Known::bit`] needs a bit for each name and one for the others.
const _: () = assert!(Known::COUNT < 64);

impl Known {
    pub(crate) const COUNT: usize = Known::ALL.len();

    /// Finds the number of a name, whatever its case.
    pub fn of(name: &[u8]) -> Known {
        let candidate = match (name.len(), name.first().map_or(0, |b| b | 0x20)) {
            (2, b't') => Known::Te,
            (3, b'v') => Known::Via,
            (4, b'e') => Known::Etag,
            (4, b'h') => Known::Host,
            (4, b'v') => Known::Vary,
            (4, b'd') => Known::Date,
            (5, b'p') => Known::Proxy,
            (6, b'a') => Known::Accept,
            (6, b'c') => Known::Cookie,
            (6, b'e') => Known::Expect,
            (6, b'o') => Known::Origin,
            (6, b's') => Known::Server,
            (7, b'r') => Known::Referer,
            (7, b't') => Known::Trailer,
            (7, b'u') => Known::Upgrade,
            (8, b'l') => Known::Location,
            (9, b'f') => Known::Forwarded,
            (9, b'x') => Known::XRealIp,
            (10, b'c') => Known::Connection,
            (10, b'k') => Known::KeepAlive,
            (10, b's') => Known::SetCookie,
            (10, b'u') => Known::UserAgent,
            (12, b'c') => Known::ContentType,
            (13, b'a') => Known::Authorization,
            (13, b'c') => Known::CacheControl,
            (13, b'l') => Known::LastModified,
            (13, b'x') => Known::XConsumerId,
            (14, b'c') => Known::ContentLength,
            (15, b'a') => match name[7] | 0x20 {
                b'e' => Known::AcceptEncoding,
                _ => Known::AcceptLanguage,
            },
            (15, b'r') => match name[10] | 0x20 {
                b'l' => Known::RateLimitLimit,
                _ => Known::RateLimitReset,
            },
            (15, b'x') => Known::XForwardedFor,
            (16, b'c') => Known::ContentEncoding,
            (16, b'p') => Known::ProxyConnection,
            (16, b'x') => match name[13] | 0x20 {
                b'o' if name[12] | 0x20 == b'h' => Known::XForwardedHost,
                b'o' => Known::XForwardedPort,
                _ => Known::XForwardedPath,
            },
            (17, b't') => Known::TransferEncoding,
            (17, b'x') => match name[2] | 0x20 {
                b'f' => Known::XForwardedProto,
                _ => Known::XKongRequestId,
            },
            (18, b'x') => Known::XForwardedPrefix,
            (19, b'r') => Known::RateLimitRemaining,
            (19, b'x') => Known::XConsumerUsername,
            (20, b'x') => match name[2] | 0x20 {
                b'a' => Known::XAnonymousConsumer,
                b'c' => Known::XConsumerCustomId,
                _ => Known::XKongProxyLatency,
            },
            (21, b'x') => Known::XRateLimitLimitDay,
            (22, b'x') => match name[18] | 0x20 {
                b'h' => Known::XRateLimitLimitHour,
                b'y' => Known::XRateLimitLimitYear,
                _ => Known::XKongUpstreamStatus,
            },
            (23, b'x') => match name[7] | 0x20 {
                b'i' => Known::XRateLimitLimitMonth,
                b'n' => Known::XCredentialIdentifier,
                b'r' => Known::XKongResponseLatency,
                _ => Known::XKongUpstreamLatency,
            },
            (24, b'x') => match name[18] | 0x20 {
                b'm' => Known::XRateLimitLimitMinute,
                _ => Known::XRateLimitLimitSecond,
            },
            (25, b'x') => Known::XRateLimitRemainingDay,
            (26, b'x') => match name[22] | 0x20 {
                b'h' => Known::XRateLimitRemainingHour,
                _ => Known::XRateLimitRemainingYear,
            },
            (27, b'x') => Known::XRateLimitRemainingMonth,
            (28, b'x') => match name[22] | 0x20 {
                b'm' => Known::XRateLimitRemainingMinute,
                _ => Known::XRateLimitRemainingSecond,
            },
            _ => return Known::Other,
        };
        if candidate.is(name) {
            candidate
        } else {
            Known::Other
        }
    }

    /// The name as a member of a set; [`Known::Other`] is a member like any other.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// A header name as [`Headers`](crate::Headers) is asked for it: a [`Known`] one, or any text.
pub trait Name {
    /// The number of the name.
    fn known(&self) -> Known;
    /// The name itself.
    fn text(&self) -> &[u8];
    /// Whether `text` is the usual way to write a known name.
    fn is_canonical(&self) -> bool {
        false
    }
}

impl Name for Known {
    fn known(&self) -> Known {
        *self
    }

    fn text(&self) -> &[u8] {
        self.name().as_bytes()
    }

    fn is_canonical(&self) -> bool {
        *self != Known::Other
    }
}

impl Name for str {
    fn known(&self) -> Known {
        Known::of(self.as_bytes())
    }

    fn text(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Name for [u8] {
    fn known(&self) -> Known {
        Known::of(self)
    }

    fn text(&self) -> &[u8] {
        self
    }
}

impl<N: Name + ?Sized> Name for &N {
    fn known(&self) -> Known {
        (**self).known()
    }

    fn text(&self) -> &[u8] {
        (**self).text()
    }

    fn is_canonical(&self) -> bool {
        (**self).is_canonical()
    }
}
