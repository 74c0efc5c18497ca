//! The model that the AI plugins speak to: the same record in each of them.

use plugin_api::fields;
use schema::{Check, Field, Record};
use serde_json::Value;

/// The fields of a model's record.
pub fn model_fields() -> Vec<(&'static str, Field)> {
    vec![
        (
            "route_type",
            Field::string("What requests of this route are.")
                .required()
                .one_of(&["llm/v1/chat", "llm/v1/completions", "preserve"]),
        ),
        ("auth", auth()),
        ("model", model()),
        (
            "logging",
            Field::record(
                "What is logged.",
                vec![
                    (
                        "log_statistics",
                        Field::boolean("Whether tokens and times are logged.")
                            .required()
                            .default(false),
                    ),
                    (
                        "log_payloads",
                        Field::boolean("Whether prompts and answers are logged.")
                            .required()
                            .default(false),
                    ),
                ],
            )
            .required(),
        ),
    ]
}

/// Adds the checks over the fields of a model's record.
pub fn with_checks(record: Field) -> Field {
    record
        .check(
            Check::conditional(
                "model.provider",
                Field::condition().one_of(&["bedrock", "gemini"]),
                "auth.allow_override",
                Field::condition().eq(false),
            )
            .error("bedrock and gemini only support auth.allow_override = false"),
        )
        .check(Check::mutually_required(&[
            "auth.header_name",
            "auth.header_value",
        ]))
        .check(Check::mutually_required(&[
            "auth.param_name",
            "auth.param_value",
            "auth.param_location",
        ]))
        .check(
            Check::conditional_at_least_one_of(
                "model.provider",
                Field::condition().one_of(&["llama2"]),
                &["model.options.llama2_format"],
            )
            .error("must set %s for llama2 provider"),
        )
        .check(
            Check::conditional_at_least_one_of(
                "model.provider",
                Field::condition().one_of(&["mistral"]),
                &["model.options.mistral_format"],
            )
            .error("must set %s for mistral provider"),
        )
        .check(
            Check::conditional_at_least_one_of(
                "model.provider",
                Field::condition().one_of(&["anthropic"]),
                &["model.options.anthropic_version"],
            )
            .error("must set %s for anthropic provider"),
        )
        .check(
            Check::conditional_at_least_one_of(
                "model.provider",
                Field::condition().one_of(&["azure"]),
                &["model.options.azure_instance"],
            )
            .error("must set %s for azure provider"),
        )
        .check(
            Check::conditional_at_least_one_of(
                "model.provider",
                Field::condition().one_of(&["azure"]),
                &["model.options.azure_api_version"],
            )
            .error("must set %s for azure provider"),
        )
        .check(
            Check::conditional_at_least_one_of(
                "model.provider",
                Field::condition().one_of(&["azure"]),
                &["model.options.azure_deployment_id"],
            )
            .error("must set %s for azure provider"),
        )
        .check(
            Check::conditional_at_least_one_of(
                "model.provider",
                Field::condition().one_of(&["llama2"]),
                &["model.options.upstream_url"],
            )
            .error("must set %s for self-hosted providers/models"),
        )
        .check(Check::custom(
            &["route_type", "model", "logging"],
            check_statistics,
        ))
}

fn check_statistics(record: &Record, _now: i64) -> Result<(), String> {
    let text = |path| {
        schema::get_path(record, path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (route, provider) = (text("route_type"), text("model.provider"));
    let wanted =
        schema::get_path(record, "logging.log_statistics").is_some_and(|wanted| wanted == true);
    if wanted && route == "llm/v1/completions" && provider == "anthropic" {
        return Err(format!(
            "{provider} does not support statistics when route_type is \
             {route}"
        ));
    }
    Ok(())
}

fn options() -> Field {
    Field::record(
        "How it is asked.",
        vec![
            (
                "max_tokens",
                Field::integer("The most tokens of an answer.").optional(),
            ),
            (
                "input_cost",
                Field::number("What a million tokens of a prompt cost.")
                    .optional()
                    .gt(0),
            ),
            (
                "output_cost",
                Field::number("What a million tokens of an answer cost.")
                    .optional()
                    .gt(0),
            ),
            (
                "temperature",
                Field::number("How freely the model chooses.")
                    .optional()
                    .between(0, 5),
            ),
            (
                "top_p",
                Field::number("The probability mass that is chosen from.")
                    .optional()
                    .between(0, 1),
            ),
            (
                "top_k",
                Field::integer("How many tokens are chosen from.")
                    .optional()
                    .between(0, 500),
            ),
            (
                "anthropic_version",
                Field::string("The version of Anthropic's API.").optional(),
            ),
            (
                "azure_instance",
                Field::string("The Azure instance.").optional(),
            ),
            (
                "azure_api_version",
                Field::string("The version of Azure's API.")
                    .optional()
                    .default("2023-05-15"),
            ),
            (
                "azure_deployment_id",
                Field::string("The Azure deployment.").optional(),
            ),
            (
                "llama2_format",
                Field::string("The format that a hosted Llama 2 understands.")
                    .optional()
                    .one_of(&["raw", "openai", "ollama"]),
            ),
            (
                "mistral_format",
                Field::string("The format that a hosted Mistral understands.")
                    .optional()
                    .one_of(&["openai", "ollama"]),
            ),
            (
                "upstream_url",
                fields::url("The URL of the model, where it is not the provider's own.").optional(),
            ),
            (
                "upstream_path",
                Field::string("The path of the model, where it is not the provider's own.")
                    .optional(),
            ),
            (
                "gemini",
                Field::record(
                    "What Gemini needs.",
                    vec![
                        (
                            "api_endpoint",
                            Field::string("The host of a private endpoint.").optional(),
                        ),
                        (
                            "project_id",
                            Field::string("The Google Cloud project.").optional(),
                        ),
                        (
                            "location_id",
                            Field::string("The Google Cloud location.").optional(),
                        ),
                    ],
                )
                .optional()
                .check(Check::mutually_required(&[
                    "api_endpoint",
                    "project_id",
                    "location_id",
                ])),
            ),
            (
                "bedrock",
                Field::record(
                    "What Bedrock needs.",
                    vec![("aws_region", Field::string("The region.").optional())],
                )
                .optional(),
            ),
            (
                "huggingface",
                Field::record(
                    "What Hugging Face needs.",
                    vec![
                        (
                            "use_cache",
                            Field::boolean("Whether cached answers are taken.").optional(),
                        ),
                        (
                            "wait_for_model",
                            Field::boolean("Whether to wait until the model is loaded.").optional(),
                        ),
                    ],
                )
                .optional(),
            ),
        ],
    )
    .optional()
}

fn model() -> Field {
    Field::record(
        "The model.",
        vec![
            (
                "provider",
                Field::string("Who provides it.").required().one_of(&[
                    "openai",
                    "azure",
                    "anthropic",
                    "cohere",
                    "mistral",
                    "llama2",
                    "gemini",
                    "bedrock",
                    "huggingface",
                ]),
            ),
            (
                "name",
                Field::string("Its name at the provider.").optional(),
            ),
            ("options", options()),
        ],
    )
    .required()
}

fn auth() -> Field {
    Field::record(
        "How the gateway proves itself to the model's provider.",
        vec![
            (
                "header_name",
                Field::string("The header that holds the credentials.")
                    .optional()
                    .referenceable(),
            ),
            (
                "header_value",
                Field::string("The value of the header.")
                    .optional()
                    .encrypted()
                    .referenceable(),
            ),
            (
                "param_name",
                Field::string("The parameter that holds the credentials.")
                    .optional()
                    .referenceable(),
            ),
            (
                "param_value",
                Field::string("The value of the parameter.")
                    .optional()
                    .encrypted()
                    .referenceable(),
            ),
            (
                "param_location",
                Field::string("Where the parameter stands.")
                    .optional()
                    .one_of(&["query", "body"]),
            ),
            (
                "gcp_use_service_account",
                Field::boolean("Whether a Google service account is used.")
                    .optional()
                    .default(false),
            ),
            (
                "gcp_service_account_json",
                Field::string("The key file of the service account.")
                    .optional()
                    .referenceable(),
            ),
            (
                "aws_access_key_id",
                Field::string("The AWS access key id.")
                    .optional()
                    .encrypted()
                    .referenceable(),
            ),
            (
                "aws_secret_access_key",
                Field::string("The AWS secret access key.")
                    .optional()
                    .encrypted()
                    .referenceable(),
            ),
            (
                "allow_override",
                Field::boolean("Whether credentials of the client win over these.")
                    .optional()
                    .default(false),
            ),
        ],
    )
    .optional()
}
