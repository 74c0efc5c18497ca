//! Plugins that ask who a client is, and whether it may. One folder each.

pub mod acl;
pub mod acme;
pub mod basic_auth;
pub mod bot_detection;
pub mod cors;
pub mod hmac_auth;
pub mod ip_restriction;
pub mod jwt;
pub mod key_auth;
pub mod ldap_auth;
pub mod oauth2;
pub mod session;
pub mod standard_webhooks;

mod cookies;
mod encoding;
mod header_names;
mod identities;
mod identity;
mod recent;
