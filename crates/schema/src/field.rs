//! One field: its type, whether it must be there, its default, and the rules for its value.

use serde_json::Value;

use crate::{Check, Pattern, Rule, Shorthand};

/// The declaration of one field, built as a sentence: `Field::string("…").required().one_of(&["a", "b"])`.
#[derive(Debug, Clone)]
pub struct Field {
    pub(crate) kind: Kind,
    pub(crate) description: &'static str,
    pub(crate) required: Option<bool>,
    pub(crate) unique: Option<bool>,
    pub(crate) unique_across_workspaces: bool,
    pub(crate) default: Option<Value>,
    pub(crate) auto: bool,
    pub(crate) encrypted: bool,
    pub(crate) referenceable: bool,
    pub(crate) transient: bool,
    pub(crate) is_abstract: bool,
    pub(crate) deprecation: Option<Deprecation>,
    pub(crate) error: Option<&'static str>,
    /// In the order in which they are applied.
    pub(crate) rules: Vec<Rule>,
}

/// The type of a field.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Text; empty text is refused unless the field has a `len_min` of its own.
    String,
    Integer,
    Number,
    Boolean,
    /// A list of one kind of element.
    Array(Box<Field>),
    /// A list in which an element stands once.
    Set(Box<Field>),
    Map {
        keys: Box<Field>,
        values: Box<Field>,
    },
    Record(Box<Shape>),
    Foreign(Foreign),
    /// Any JSON value that a format accepts.
    Json(JsonFormat),
    /// The type of the field that a condition is about; only conditions have it.
    Inherited,
    /// The same for a list whose elements a condition is about.
    InheritedList(Box<Field>),
}

/// Fields with their shorthands and the checks over several of them: an entity, a nested record or a subschema.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    pub fields: Vec<(&'static str, Field)>,
    pub checks: Vec<Check>,
    pub shorthands: Vec<Shorthand>,
}

/// A reference to a record of another entity, held as `{"id": "<uuid>"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// The name of the other entity.
    pub reference: &'static str,
    pub on_delete: OnDelete,
}

/// What becomes of a record when the one it points at is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The other record cannot be deleted.
    Restrict,
    /// It is deleted as well.
    Cascade,
}

/// What a JSON field accepts.
#[derive(Debug, Clone)]
pub struct JsonFormat {
    /// What `/schemas` shows as `json_schema`.
    pub shown: Value,
    /// Says why a value is refused.
    pub validate: fn(&Value) -> Result<(), String>,
}

/// Marks a field as one that users should leave.
#[derive(Debug, Clone)]
pub struct Deprecation {
    pub message: &'static str,
    pub removal_in_version: &'static str,
    /// Paths of the fields that replace it.
    pub replaced_with: &'static [&'static [&'static str]],
    /// A value that raises no warning.
    pub old_default: Option<Value>,
}

impl Shape {
    /// The declaration of a field, or `None` if there is no such field.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|(declared, _)| *declared == name)
            .map(|(_, field)| field)
    }
}

impl Field {
    fn new(kind: Kind, description: &'static str) -> Self {
        Self {
            kind,
            description,
            required: None,
            unique: None,
            unique_across_workspaces: false,
            default: None,
            auto: false,
            encrypted: false,
            referenceable: false,
            transient: false,
            is_abstract: false,
            deprecation: None,
            error: None,
            rules: Vec::new(),
        }
    }

    /// Text.
    pub fn string(description: &'static str) -> Self {
        Self::new(Kind::String, description)
    }

    /// A whole number.
    pub fn integer(description: &'static str) -> Self {
        Self::new(Kind::Integer, description)
    }

    /// A number.
    pub fn number(description: &'static str) -> Self {
        Self::new(Kind::Number, description)
    }

    /// True or false.
    pub fn boolean(description: &'static str) -> Self {
        Self::new(Kind::Boolean, description)
    }

    /// A list of `elements`.
    pub fn array(description: &'static str, elements: Field) -> Self {
        Self::new(Kind::Array(Box::new(elements)), description)
    }

    /// A list of distinct `elements`.
    pub fn set(description: &'static str, elements: Field) -> Self {
        Self::new(Kind::Set(Box::new(elements)), description)
    }

    /// Values by key.
    pub fn map(description: &'static str, keys: Field, values: Field) -> Self {
        Self::new(
            Kind::Map {
                keys: Box::new(keys),
                values: Box::new(values),
            },
            description,
        )
    }

    /// A record with fields of its own.
    pub fn record(description: &'static str, fields: Vec<(&'static str, Field)>) -> Self {
        Self::new(
            Kind::Record(Box::new(Shape {
                fields,
                ..Shape::default()
            })),
            description,
        )
    }

    /// A reference to a record of another entity, which cannot be deleted as long as this one is there.
    pub fn foreign_to(description: &'static str, reference: &'static str) -> Self {
        Self::new(
            Kind::Foreign(Foreign {
                reference,
                on_delete: OnDelete::Restrict,
            }),
            description,
        )
    }

    /// A JSON value.
    pub fn json(description: &'static str, format: JsonFormat) -> Self {
        Self::new(Kind::Json(format), description)
    }

    /// The field that a condition is about, to add rules to; the rules given here replace those of the same sort.
    pub fn condition() -> Self {
        Self::new(Kind::Inherited, "")
    }

    /// The record's id, made when it is not given.
    pub fn id() -> Self {
        Self::string("A UUID that identifies the record; made by the gateway when it is not given.")
            .uuid()
            .auto()
    }

    /// Seconds since 1970, set by the gateway.
    pub fn auto_timestamp(description: &'static str) -> Self {
        Self::integer(description).timestamp().auto()
    }

    /// Seconds since 1970 with three decimals, set by the gateway.
    pub fn auto_timestamp_with_millis(description: &'static str) -> Self {
        Self::number(description).timestamp().auto()
    }

    /// Replaces the description of a field that is declared elsewhere.
    #[must_use]
    pub fn described(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// A value must be given or come from a default.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = Some(true);
        self
    }

    /// A record that stays null when it is not given, instead of being filled with its defaults.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = Some(false);
        self
    }

    /// At most one record has this value.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = Some(true);
        self
    }

    /// Says in `/schemas` that the value need not be unique.
    #[must_use]
    pub fn not_unique(mut self) -> Self {
        self.unique = Some(false);
        self
    }

    /// At most one record of all workspaces has this value.
    #[must_use]
    pub fn unique_across_workspaces(mut self) -> Self {
        self.unique = Some(true);
        self.unique_across_workspaces = true;
        self
    }

    /// The value of a field that is not given.
    #[must_use]
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// The gateway sets it: a UUID, a random string, or the time.
    #[must_use]
    pub fn auto(mut self) -> Self {
        self.auto = true;
        self
    }

    /// The value is a secret.
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// The value may be a `{vault://…}` reference.
    #[must_use]
    pub fn referenceable(mut self) -> Self {
        self.referenceable = true;
        self
    }

    /// Accepted and shown, but kept elsewhere.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    /// A record whose fields a subschema declares.
    #[must_use]
    pub fn abstract_record(description: &'static str) -> Self {
        let mut field = Self::record(description, Vec::new());
        field.is_abstract = true;
        field
    }

    /// Deletes this record together with the one it points at.
    #[must_use]
    pub fn on_delete_cascade(mut self) -> Self {
        if let Kind::Foreign(foreign) = &mut self.kind {
            foreign.on_delete = OnDelete::Cascade;
        }
        self
    }

    /// Users should leave this field.
    #[must_use]
    pub fn deprecated(mut self, deprecation: Deprecation) -> Self {
        self.deprecation = Some(deprecation);
        self
    }

    /// The message for any rule that the value breaks.
    #[must_use]
    pub fn error(mut self, message: &'static str) -> Self {
        self.error = Some(message);
        self
    }

    /// Adds a check over the fields of a record.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        if let Kind::Record(shape) = &mut self.kind {
            shape.checks.push(check);
        }
        self
    }

    /// Adds a shorthand to a record.
    #[must_use]
    pub fn shorthand(mut self, shorthand: Shorthand) -> Self {
        if let Kind::Record(shape) = &mut self.kind {
            shape.shorthands.push(shorthand);
        }
        self
    }

    /// Adds a rule, in place of a rule of the same sort.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        match self.rules.binary_search_by_key(&rule.order(), Rule::order) {
            Ok(at) => self.rules[at] = rule,
            Err(at) => self.rules.insert(at, rule),
        }
        self
    }

    /// Exactly this value; `null` forbids the field.
    #[must_use]
    pub fn eq(self, value: impl Into<Value>) -> Self {
        self.rule(Rule::Eq(value.into()))
    }

    /// Any value but this one.
    #[must_use]
    pub fn ne(self, value: impl Into<Value>) -> Self {
        self.rule(Rule::Ne(value.into()))
    }

    /// A value that may be left out, but not be null: its column takes none.
    #[must_use]
    pub fn never_null(self) -> Self {
        self.rule(Rule::Ne(Value::Null))
    }

    /// One of these values.
    #[must_use]
    pub fn one_of<T: Into<Value> + Clone>(self, values: &[T]) -> Self {
        self.rule(Rule::OneOf(
            values.iter().cloned().map(Into::into).collect(),
        ))
    }

    /// None of these values.
    #[must_use]
    pub fn not_one_of<T: Into<Value> + Clone>(self, values: &[T]) -> Self {
        self.rule(Rule::NotOneOf(
            values.iter().cloned().map(Into::into).collect(),
        ))
    }

    /// More than this.
    #[must_use]
    pub fn gt(self, limit: impl Into<f64>) -> Self {
        self.rule(Rule::Gt(limit.into()))
    }

    /// A time after 1970.
    #[must_use]
    pub fn timestamp(self) -> Self {
        self.rule(Rule::Timestamp)
    }

    /// A UUID.
    #[must_use]
    pub fn uuid(self) -> Self {
        self.rule(Rule::Uuid)
    }

    /// A regular expression.
    #[must_use]
    pub fn is_regex(self) -> Self {
        self.rule(Rule::IsRegex)
    }

    /// From `low` to `high`, both included.
    #[must_use]
    pub fn between(self, low: impl Into<f64>, high: impl Into<f64>) -> Self {
        self.rule(Rule::Between(low.into(), high.into()))
    }

    /// Exactly so many bytes, elements or keys.
    #[must_use]
    pub fn len_eq(self, length: usize) -> Self {
        self.rule(Rule::LenEq(length))
    }

    /// At least so many bytes, elements or keys.
    #[must_use]
    pub fn len_min(self, length: usize) -> Self {
        self.rule(Rule::LenMin(length))
    }

    /// At most so many bytes, elements or keys.
    #[must_use]
    pub fn len_max(self, length: usize) -> Self {
        self.rule(Rule::LenMax(length))
    }

    /// Begins with this text.
    #[must_use]
    pub fn starts_with(self, text: &'static str) -> Self {
        self.rule(Rule::StartsWith(text))
    }

    /// Matches this Lua pattern.
    #[must_use]
    pub fn matches(self, pattern: &'static str) -> Self {
        self.rule(Rule::Match(Pattern::new(pattern)))
    }

    /// Does not match this Lua pattern.
    #[must_use]
    pub fn not_match(self, pattern: &'static str) -> Self {
        self.rule(Rule::NotMatch(Pattern::new(pattern)))
    }

    /// Matches each Lua pattern; each comes with its error.
    #[must_use]
    pub fn match_all(self, patterns: &[(&'static str, &'static str)]) -> Self {
        self.rule(Rule::MatchAll(with_errors(patterns)))
    }

    /// Matches no Lua pattern; each comes with its error.
    #[must_use]
    pub fn match_none(self, patterns: &[(&'static str, &'static str)]) -> Self {
        self.rule(Rule::MatchNone(with_errors(patterns)))
    }

    /// Matches at least one Lua pattern; the error may be left out, as in conditions.
    #[must_use]
    pub fn match_any(self, patterns: &[&'static str], error: Option<&'static str>) -> Self {
        self.rule(Rule::MatchAny {
            patterns: patterns.iter().copied().map(Pattern::new).collect(),
            error,
        })
    }

    /// A list with this element.
    #[must_use]
    pub fn contains(self, element: impl Into<Value>) -> Self {
        self.rule(Rule::Contains(element.into()))
    }

    /// A list whose elements all come from one of these groups.
    #[must_use]
    pub fn mutually_exclusive_subsets(self, subsets: &'static [&'static [&'static str]]) -> Self {
        self.rule(Rule::MutuallyExclusiveSubsets(subsets))
    }

    /// A rule in code; it sees a value of the declared type and says why it is refused.
    #[must_use]
    pub fn custom(self, validate: fn(&Value) -> Result<(), String>) -> Self {
        self.rule(Rule::Custom(validate))
    }

    /// A condition on the elements of a list.
    #[must_use]
    pub fn with_elements(mut self, elements: Field) -> Self {
        self.kind = Kind::InheritedList(Box::new(elements));
        self
    }

    /// The type.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What it means, in a sentence.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// Whether a value must be given or come from a default.
    pub fn is_required(&self) -> bool {
        self.required == Some(true)
    }

    /// Whether null is refused.
    pub fn is_never_null(&self) -> bool {
        let refuses = |rule: &Rule| matches!(rule, Rule::Ne(Value::Null));
        self.is_required() || self.rules.iter().any(refuses)
    }

    /// Whether at most one record has a value.
    pub fn is_unique(&self) -> bool {
        self.unique == Some(true)
    }

    /// Whether uniqueness spans all workspaces.
    pub fn is_unique_across_workspaces(&self) -> bool {
        self.unique_across_workspaces
    }

    /// Whether the gateway sets the value.
    pub fn is_auto(&self) -> bool {
        self.auto
    }

    /// Whether the value is a secret.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether the value may be a `{vault://…}` reference.
    pub fn is_referenceable(&self) -> bool {
        self.referenceable
    }

    /// Whether the value is kept elsewhere than in the record's own row.
    pub fn is_transient(&self) -> bool {
        self.transient
    }

    /// Whether a subschema declares the field.
    pub fn is_abstract(&self) -> bool {
        self.is_abstract
    }

    /// Whether the value is a UUID.
    pub fn is_uuid(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule, Rule::Uuid))
    }

    /// Whether the value is a time.
    pub fn is_timestamp(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| matches!(rule, Rule::Timestamp))
    }

    /// The default, if there is one.
    pub fn default_value(&self) -> Option<&Value> {
        self.default.as_ref()
    }

    /// What it points at, if it is a reference.
    pub fn foreign(&self) -> Option<&Foreign> {
        match &self.kind {
            Kind::Foreign(foreign) => Some(foreign),
            _ => None,
        }
    }

    /// The rules for a value in the order in which they are applied.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The deprecation, if users should leave the field.
    pub fn deprecation(&self) -> Option<&Deprecation> {
        self.deprecation.as_ref()
    }
}

fn with_errors(patterns: &[(&'static str, &'static str)]) -> Vec<(Pattern, &'static str)> {
    patterns
        .iter()
        .map(|(pattern, error)| (Pattern::new(pattern), *error))
        .collect()
}
