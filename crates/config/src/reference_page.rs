//! The reference page of all settings, as Markdown with one sentence a line.

use std::fmt::Write as _;

use crate::declaration::{Declaration, Effect};
use crate::load::DEFAULT_FILES;
use crate::table;

/// The text of `docs/settings.md`.
pub fn reference_markdown() -> String {
    let mut page = String::new();
    introduce(&mut page);
    for group in table::groups() {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "\n## {}\n", group.title);
        page.push_str("| Setting | Default | Value | Meaning |\n| --- | --- | --- | --- |\n");
        for setting in group.settings {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                setting.name,
                default_text(setting),
                setting.kind.describe(),
                meaning_text(setting)
            );
        }
    }
    page
}

fn introduce(page: &mut String) {
    let files: Vec<String> = DEFAULT_FILES
        .iter()
        .map(|file| format!("`{file}`"))
        .collect();
    let _ = write!(
        page,
        "# Settings\n\n\
         This page is generated from the declarations in `crates/config`; `cargo xtask gen` writes it.\n\n\
         A setting comes from, weakest first:\n\n\
         1. the default;\n\
         2. the file named with `-c`, or else the first of {} that exists;\n\
         3. the environment: `KONG_` and the name in capitals, such as `KONG_PROXY_LISTEN`; `SILVERBACK_` does the same and wins;\n\
         4. the command line, where an option says so (`-p` for `prefix`).\n\n\
         The file has one `name = value` a line.\n\
         `#` begins a comment and `\\#` is a literal `#`.\n\
         Lists are separated by commas.\n\
         Switches take `on`, `off`, `true`, `false`, `yes` and `no`.\n\
         Sizes take `k`, `m` and `g`; durations take `ms`, `s`, `m`, `h`, `d`, `w`, `M` and `y`.\n\
         An empty value unsets a setting.\n\n\
         `{{vault://env/NAME}}` as a value, or as an item of a list, is replaced by the environment variable `NAME` (in capitals, `-` as `_`).\n\
         `{{vault://env/NAME/KEY}}` takes a member of a variable that holds a JSON object, and `?prefix=P` puts `P` before the name.\n\n\
         A value that cannot be used stops the start, with its name, the value and what is allowed; all such values are reported at once.\n\
         Names that do not exist are reported in one warning, settings that ask for something and change nothing in another.\n\
         `reload` and SIGHUP take every change but those of `prefix`, `database`, `sqlite_path`, `router_flavor` and name resolution: these need a restart, and the reload is refused and says so.\n\
         nginx directives that Kong injects from settings (`nginx_http_…`, `nginx_proxy_…` and so on) are accepted; those without a row below change nothing.\n",
        files.join(", ")
    );
}

fn default_text(setting: &Declaration) -> String {
    match (setting.default, setting.unset_means) {
        ("", "") => "none".to_owned(),
        ("", unset) => unset.to_owned(),
        (default, _) => format!("`{default}`"),
    }
}

fn meaning_text(setting: &Declaration) -> String {
    let mut text = setting.meaning.to_owned();
    if text.ends_with(": ") {
        let plain = setting.name.replacen("pg_ro_", "pg_", 1);
        let _ = write!(text, "`{plain}`.");
    }
    if !setting.default.is_empty() && !setting.unset_means.is_empty() {
        let _ = write!(text, " {}", setting.unset_means);
    }
    if setting.secret {
        text.push_str(" Never shown.");
    }
    if setting.own {
        text.push_str(" Only in Silverback.");
    }
    if let Some(replacement) = setting.replaced_by {
        let _ = write!(text, " Deprecated: use `{replacement}`.");
    }
    if let Effect::Nothing(reason) = setting.effect {
        let _ = write!(text, " **No effect:** {reason}.");
    }
    text.replace('|', "\\|")
}
