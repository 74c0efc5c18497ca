//! Fills in the template that a request names.

use std::collections::HashMap;
use std::sync::Arc;

use plugin_api::{
    Configured, Exchange, Failure, Handler, LogEdit, LogMode, Needs, Phase, Services, Step,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::template::Template;
use crate::conversation::{MOST_HELD, members, refusal};

#[derive(Deserialize)]
struct Config {
    templates: Vec<Named>,
    allow_untemplated_requests: bool,
    log_original_request: bool,
    max_request_body_size: u64,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

struct Templates {
    templates: HashMap<String, Template>,
    only_templates: bool,
    logs_request: bool,
    most: u64,
}

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let mut templates = HashMap::new();
    for named in config.templates {
        // The first of a name counts.
        templates
            .entry(named.name)
            .or_insert_with(|| Template::parse(&named.template));
    }
    Ok(Arc::new(Templates {
        templates,
        only_templates: !config.allow_untemplated_requests,
        logs_request: config.log_original_request,
        most: config.max_request_body_size,
    }))
}

impl Handler for Templates {
    fn needs(&self) -> Needs {
        Needs {
            request_body: true,
            held_body: self.most.min(MOST_HELD),
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if self.logs_request && exchange.body().len() as u64 <= self.most {
            let original = String::from_utf8_lossy(exchange.body()).into_owned();
            exchange.work.log_edits.push(LogEdit {
                path: "ai.payload.original_request".into(),
                value: Some(Value::String(original)),
                mode: LogMode::Always,
            });
        }
        match self.rendered(members(exchange, self.most)) {
            Ok(None) => Step::next(),
            Ok(Some(body)) => {
                exchange.set_body(body);
                Step::next()
            }
            Err(message) => Step::answer(refusal(message)),
        }
    }
}

impl Templates {
    /// The body that the upstream gets, if it gets another one, or why the request is refused.
    fn rendered(&self, request: Option<Map<String, Value>>) -> Result<Option<String>, String> {
        let request = request.ok_or("this LLM route only supports application/json requests")?;
        let reference = match (request.get("messages"), request.get("prompt")) {
            (Some(_), Some(_)) => {
                return Err("cannot run 'messages' and 'prompt' templates at the same time".into());
            }
            (Some(reference), None) | (None, Some(reference)) => reference,
            (None, None) => {
                return Err(
                    "only 'llm/v1/chat' and 'llm/v1/completions' formats are supported for \
                     templating"
                        .into(),
                );
            }
        };
        let Some(name) = template_name(reference) else {
            return match self.only_templates {
                true => Err("this LLM route only supports templated requests".into()),
                false => Ok(None),
            };
        };
        let template = self
            .templates
            .get(name)
            .ok_or_else(|| format!("could not find template name [{name}]"))?;
        let body = template.render(&properties(request.get("properties"))?)?;
        Ok(Some(body))
    }
}

/// What `{template://NAME}` names.
fn template_name(reference: &Value) -> Option<&str> {
    reference
        .as_str()?
        .strip_prefix("{template://")?
        .strip_suffix('}')
}

/// The values for a template, by their names.
fn properties(given: Option<&Value>) -> Result<HashMap<&str, &str>, String> {
    let Some(given) = given else {
        return Ok(HashMap::new());
    };
    let given = given.as_object().ok_or("properties must be an object")?;
    let texts = given.iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name.as_str(), text.as_str())),
        other => Err(format!(
            "property values must be a string, got {}",
            kind(other)
        )),
    });
    texts.collect()
}

/// The kind of a value, by the name that Kong's users know.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "userdata",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => "table",
    }
}
