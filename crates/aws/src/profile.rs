//! Keys in the files of AWS's command line.

use stdx::Secret;

use super::Credentials;

/// The keys of a section of such a file; `None` if it has none.
pub fn credentials(text: &str, section: &str) -> Option<Credentials> {
    let mut is_inside = false;
    let (mut key_id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let name = header.split(']').next().unwrap_or_default();
            is_inside = name.split_whitespace().eq(section.split_whitespace());
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_inside) else {
            continue;
        };
        let value = Some(value.trim()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => key_id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    let (key_id, secret) = key_id.zip(secret)?;
    let token = token.map(Secret::new);
    Some(Credentials::lasting(
        key_id.to_owned(),
        Secret::new(secret),
        token,
    ))
}
