//! What a setting's declaration says.

/// The form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `on`, `off`, `true`, `false`, `yes`, `no`; true or false in JSON.
    Boolean,
    /// The same words; kept as the text `on` or `off`.
    Switch,
    /// A whole number within bounds, both included.
    Integer(i64, i64),
    /// A number within bounds, both included.
    Number(f64, f64),
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Texts separated by commas.
    List,
    /// Words from this list, separated by commas; upper and lower case are the same.
    ListOf(&'static [&'static str]),
    /// Listening addresses with flags, separated by commas, or `off`.
    Listeners,
    /// A number of bytes with an optional `k`, `m` or `g`.
    Size,
    /// A time such as `60`, `500ms`, `15m`, `1d`.
    Duration,
    /// A file or folder.
    Path,
}

impl Kind {
    /// The words that the reference page uses.
    pub fn describe(&self) -> String {
        match self {
            Self::Boolean | Self::Switch => "`on` or `off`".to_owned(),
            Self::Integer(low, i64::MAX) => format!("integer, at least {low}"),
            Self::Integer(low, high) => format!("integer, {low} to {high}"),
            Self::Number(low, high) if high.is_infinite() => format!("number, at least {low}"),
            Self::Number(low, high) => format!("number, {low} to {high}"),
            Self::Text => "text".to_owned(),
            Self::Choice(words) => words
                .iter()
                .map(|w| format!("`{w}`"))
                .collect::<Vec<_>>()
                .join(", "),
            Self::List => "list".to_owned(),
            Self::ListOf(words) => {
                let words: Vec<_> = words.iter().map(|w| format!("`{w}`")).collect();
                format!("list of {}", words.join(", "))
            }
            Self::Listeners => "listeners or `off`".to_owned(),
            Self::Size => "size".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Path => "path".to_owned(),
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::List | Self::ListOf(_) | Self::Listeners)
    }
}

/// What setting a value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The node acts on it.
    Applies,
    /// It is accepted and shown, and changes nothing, for this reason.
    Nothing(&'static str),
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// The name in the file; `KONG_` and the name in capitals in the environment.
    pub name: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// The value when nobody sets it; empty for none.
    pub default: &'static str,
    /// What holds when there is no value, for the reference page.
    pub unset_means: &'static str,
    /// What it is for.
    pub meaning: &'static str,
    /// Whether the node acts on it.
    pub effect: Effect,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// nginx directives, by setting name, that take this value unless they are set themselves.
    pub feeds: &'static [&'static str],
    /// The name to use in its place, if it is deprecated.
    pub replaced_by: Option<&'static str>,
    /// Whether it exists only here and not in Kong.
    pub own: bool,
}

impl Declaration {
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            unset_means: "",
            meaning,
            effect: Effect::Applies,
            secret: false,
            feeds: &[],
            replaced_by: None,
            own: false,
        }
    }

    pub(crate) const fn nothing(mut self, reason: &'static str) -> Self {
        self.effect = Effect::Nothing(reason);
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn unset_means(mut self, text: &'static str) -> Self {
        self.unset_means = text;
        self
    }

    pub(crate) const fn feeds(mut self, directives: &'static [&'static str]) -> Self {
        self.feeds = directives;
        self
    }

    pub(crate) const fn replaced_by(mut self, name: &'static str) -> Self {
        self.replaced_by = Some(name);
        self
    }

    pub(crate) const fn own(mut self) -> Self {
        self.own = true;
        self
    }
}

/// Settings on one topic.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// A heading.
    pub title: &'static str,
    /// In the order of the reference page.
    pub settings: &'static [Declaration],
}
