//! The option `google.api.http`: how HTTP requests become calls of a method.

use prost_reflect::{DynamicMessage, MethodDescriptor, Value};

/// The messages of the option, by the names and numbers of Google's API definitions.
pub const HTTP: &str = r#"
syntax = "proto3";
package google.api;
message Http {
  repeated HttpRule rules = 1;
  bool fully_decode_reserved_expansion = 2;
}
message HttpRule {
  string selector = 1;
  oneof pattern {
    string get = 2;
    string put = 3;
    string post = 4;
    string delete = 5;
    string patch = 6;
    CustomHttpPattern custom = 8;
  }
  string body = 7;
  string response_body = 12;
  repeated HttpRule additional_bindings = 11;
}
message CustomHttpPattern {
  string kind = 1;
  string path = 2;
}
"#;

/// The option itself.
pub const ANNOTATIONS: &str = r#"
syntax = "proto3";
package google.api;
import "google/api/http.proto";
import "google/protobuf/descriptor.proto";
extend google.protobuf.MethodOptions {
  HttpRule http = 72295728;
}
"#;

/// One way to call a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Such as `GET`.
    pub method: String,
    /// The template of the path.
    pub path: String,
    /// The field that the body becomes; `*` for the whole message, nothing for none.
    pub body: String,
    /// The field of the answer that is its body; nothing for all of it.
    pub response_body: String,
}

/// The ways to call a method, the main one first.
pub fn rules(method: &MethodDescriptor) -> Vec<HttpRule> {
    let Some(option) = method
        .parent_pool()
        .get_extension_by_name("google.api.http")
    else {
        return Vec::new();
    };
    let options = method.options();
    if !options.has_extension(&option) {
        return Vec::new();
    }
    let main = options.get_extension(&option);
    let Some(main) = main.as_message() else {
        return Vec::new();
    };
    let more = main.get_field_by_name("additional_bindings");
    let more = more.as_deref().and_then(Value::as_list).unwrap_or_default();
    std::iter::once(main)
        .chain(more.iter().filter_map(Value::as_message))
        .filter_map(rule)
        .collect()
}

fn rule(message: &DynamicMessage) -> Option<HttpRule> {
    let text = |message: &DynamicMessage, name: &str| {
        let value = message.get_field_by_name(name)?;
        value.as_str().map(str::to_owned)
    };
    let plain = ["get", "put", "post", "delete", "patch"]
        .into_iter()
        .find(|name| message.has_field_by_name(name))
        .and_then(|name| Some((name.to_ascii_uppercase(), text(message, name)?)));
    let (method, path) = plain.or_else(|| {
        let custom = message.get_field_by_name("custom")?;
        let custom = custom.as_message()?;
        Some((text(custom, "kind")?, text(custom, "path")?))
    })?;
    Some(HttpRule {
        method,
        path,
        body: text(message, "body").unwrap_or_default(),
        response_body: text(message, "response_body").unwrap_or_default(),
    })
}
