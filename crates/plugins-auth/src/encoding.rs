//! Base64 as clients send it in credentials.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Compat: Kong reads credentials without their padding, and with unused bits that are set
/// (pinned by `what_clients_leave_out_is_no_mistake`).
const CREDENTIALS: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an encoded credential says; `None` if it is no base64.
pub(crate) fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    CREDENTIALS.decode(encoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_leave_out_is_no_mistake() {
        for (encoded, expected) in [
            ("YWw6c2U6Y3JldA==", Some("al:se:cret")),
            ("YWw6c2U6Y3JldA", Some("al:se:cret")),
            ("YWw6c2U6Y3JldB==", Some("al:se:cret")),
            ("YWw6c2U6Y3JldAA!", None),
            ("Y", None),
            ("", Some("")),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(decode(encoded.as_bytes()), expected, "{encoded}");
        }
    }
}
