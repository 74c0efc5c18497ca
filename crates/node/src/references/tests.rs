use std::str::FromStr;

use serde_json::json;

use super::*;

fn references() -> EnvironmentReferences {
    let environment = [
        ("CERT", "plain"),
        ("TEAM_CERT", "of the team"),
        ("NODE_CERT", "of the node"),
    ];
    let environment = environment
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    EnvironmentReferences::new(environment, None)
}

fn vault(name: &str) -> Vault {
    Vault {
        id: uuid::Uuid::from_str("0dc6f45b-8f8d-40d2-a504-473544ee190b").expect("an id"),
        prefix: "team".into(),
        name: name.into(),
        config: json!({"prefix": "team_"}),
    }
}

#[test]
fn variables_are_found_directly_and_through_a_vault_of_the_store() {
    let team = vault("env");
    let find = |prefix: &str| (prefix == "team").then_some(&team);
    assert_eq!(
        references().resolve("{vault://env/cert}", &find),
        Some("plain".to_owned())
    );
    assert_eq!(
        references().resolve("{vault://team/cert}", &find),
        Some("of the team".to_owned())
    );
    assert_eq!(references().resolve("{vault://other/cert}", &find), None);
    assert_eq!(references().resolve("{vault://env/absent}", &find), None);
}

#[test]
fn vaults_of_other_kinds_have_no_values() {
    let other = vault("hcv");
    assert_eq!(
        references().resolve("{vault://team/cert}", &|_| Some(&other)),
        None
    );
}

#[test]
fn the_settings_prefix_is_for_the_vault_env() {
    let mut references = references();
    references.prefix = Some("node_".to_owned());
    assert_eq!(
        references.resolve("{vault://env/cert}", &|_| None),
        Some("of the node".to_owned())
    );
}
