//! What of a configuration cannot be done, and what has no effect.

use plugin_api::{Failure, Services};

use crate::account::Account;
use crate::settings::{Choice, Dialect, Llm, Model, ParamLocation, Provider};

/// The account that a configuration wants to be used.
///
/// # Errors
/// When it asks for what cannot be done, by name. What has no effect is warned of.
pub fn check(plugin: &str, llm: &mut Llm, services: &Services) -> Result<Option<Account>, Failure> {
    if let Choice::Settled(model) = &llm.model {
        for setting in without_effect(llm, model) {
            let provider = model.provider.name();
            tracing::warn!(
                "{plugin}: {setting} has no effect with this configuration of {provider}"
            );
        }
    }
    if llm.model.provider() == Provider::Bedrock {
        // Compat: a request that is signed carries nothing else that proves it.
        llm.auth.header_value = None;
        llm.auth.param_value = None;
    }
    Account::of(llm, services)
}

/// Warns of settings that have no effect on requests that pass as they are.
pub fn check_native(plugin: &str, llm: &Llm) {
    let Choice::Settled(model) = &llm.model else {
        return;
    };
    let options = &model.options;
    let in_body = llm.auth.parameter(ParamLocation::Body).is_some();
    for (setting, is_set) in [
        ("model.options.max_tokens", options.max_tokens.is_some()),
        ("model.options.temperature", options.temperature.is_some()),
        ("model.options.top_p", options.top_p.is_some()),
        ("model.options.top_k", options.top_k.is_some()),
        ("auth.param_location: body", in_body),
    ] {
        if is_set {
            tracing::warn!("{plugin}: {setting} has no effect with an llm_format of its own");
        }
    }
}

/// The settings of a configuration that change nothing.
fn without_effect(llm: &Llm, model: &Model) -> Vec<&'static str> {
    use Provider::{Anthropic, Azure, Bedrock, Gemini, Huggingface, Llama2, Mistral};

    let (auth, options, provider) = (&llm.auth, &model.options, model.provider);
    let is = |providers: &[Provider]| providers.contains(&provider);
    let hosted = match provider {
        Llama2 => options.llama2_format,
        Mistral => options.mistral_format,
        _ => None,
    };
    let speaks_openai = is(&[Provider::Openai, Azure]) || hosted == Some(Dialect::Openai);
    let gemini = &options.gemini;
    let face = &options.huggingface;
    let place = gemini.api_endpoint.is_some();
    let prices = options.input_cost.is_some() || options.output_cost.is_some();
    let counted =
        llm.logging.log_statistics && options.input_cost.is_some() && options.output_cost.is_some();
    let path = options.upstream_path.is_some();
    let url = options.upstream_url.is_some();
    // Whether it is set, and whether that changes anything.
    let settings = [
        (
            "model.options.anthropic_version",
            options.anthropic_version.is_some(),
            is(&[Anthropic, Bedrock]),
        ),
        (
            "model.options.azure_instance",
            options.azure_instance.is_some(),
            is(&[Azure]) && !url,
        ),
        (
            "model.options.azure_deployment_id",
            options.azure_deployment_id.is_some(),
            is(&[Azure]) && !url,
        ),
        (
            "model.options.llama2_format",
            options.llama2_format.is_some(),
            is(&[Llama2]),
        ),
        (
            "model.options.mistral_format",
            options.mistral_format.is_some(),
            is(&[Mistral]),
        ),
        ("model.options.gemini", place, is(&[Gemini]) && !url),
        (
            "model.options.bedrock",
            options.bedrock.aws_region.is_some(),
            is(&[Bedrock]),
        ),
        (
            "model.options.huggingface",
            face.use_cache || face.wait_for_model,
            is(&[Huggingface]),
        ),
        (
            "model.options.top_k",
            options.top_k.is_some(),
            !speaks_openai && !is(&[Anthropic, Bedrock]),
        ),
        (
            "model.options.top_p",
            options.top_p.is_some(),
            !is(&[Anthropic]),
        ),
        ("model.options.input_cost and output_cost", prices, counted),
        (
            "model.options.upstream_path",
            path,
            !url || is(&[Gemini, Bedrock, Huggingface]),
        ),
        (
            "auth.header_name",
            auth.header_name.is_some(),
            !is(&[Bedrock]),
        ),
        (
            "auth.param_name",
            auth.param_name.is_some(),
            !is(&[Bedrock]),
        ),
        (
            "auth.gcp_use_service_account",
            auth.gcp_use_service_account,
            is(&[Gemini]),
        ),
        (
            "auth.gcp_service_account_json",
            auth.gcp_service_account_json.is_some(),
            is(&[Gemini]) && auth.gcp_use_service_account,
        ),
        (
            "auth.aws_access_key_id",
            auth.aws_access_key_id.is_some(),
            is(&[Bedrock]),
        ),
        (
            "auth.aws_secret_access_key",
            auth.aws_secret_access_key.is_some(),
            is(&[Bedrock]),
        ),
    ];
    let idle = settings
        .into_iter()
        .filter(|(_, set, changes)| *set && !changes);
    idle.map(|(name, _, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nothing() -> Services {
        plugin_api::testing::services(plugin_api::testing::FakeRecords::default())
    }

    #[test]
    fn settings_of_other_providers_are_named() {
        let mut llm: Llm = serde_json::from_value(json!({
            "route_type": "llm/v1/chat",
            "auth": { "aws_access_key_id": "x" },
            "model": { "provider": "openai", "name": "m", "options": {
                "top_k": 1, "top_p": 0.5, "anthropic_version": "v", "upstream_path": "/x",
                "upstream_url": "http://x", "input_cost": 1.0,
            } },
            "logging": { "log_statistics": true, "log_payloads": false },
        }))
        .expect("a configuration");
        let Choice::Settled(model) = &llm.model else {
            panic!("it has no expression")
        };
        assert_eq!(
            without_effect(&llm, model),
            [
                "model.options.anthropic_version",
                "model.options.top_k",
                "model.options.input_cost and output_cost",
                "model.options.upstream_path",
                "auth.aws_access_key_id",
            ]
        );
        assert!(check("ai-proxy", &mut llm, &nothing()).is_ok());
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (provider, auth, name) in [
            (
                "bedrock",
                json!({}),
                "model.options.bedrock.aws_region: no region",
            ),
            (
                "gemini",
                json!({ "gcp_use_service_account": true }),
                "auth.gcp_service_account_json",
            ),
        ] {
            let mut llm: Llm = serde_json::from_value(json!({
                "route_type": "llm/v1/chat",
                "auth": auth,
                "model": { "provider": provider, "name": "m", "options": null },
                "logging": { "log_statistics": true, "log_payloads": false },
            }))
            .expect("a configuration");
            let failure = check("ai-proxy", &mut llm, &nothing())
                .err()
                .expect("a failure")
                .to_string();
            assert!(failure.starts_with(name), "{failure}");
        }
    }
}
