//! How passwords are stored.

use aws_lc_rs::digest;

/// The stored form of a consumer's password.
///
/// Compat: weak, but what stored credentials are: the SHA-1 of password and consumer id in hexadecimal digits (pinned by
/// admin/credentials "basic-auth: the stored password is a hash of password and consumer id").
pub(crate) fn of(consumer: &str, password: &[u8]) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(password);
    context.update(consumer.as_bytes());
    let sum = context.finish();
    sum.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_sum_of_password_and_consumer_is_stored() {
        assert_eq!(of("", b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(of("c", b"ab"), of("bc", b"a"));
    }
}
