//! Typed reading of records. A record comes from a validated store, yet nothing here trusts that.

use std::time::Duration;

use schema::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::Error;

/// Reads the fields of one record.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a Record);

impl<'a> Reader<'a> {
    fn value(self, field: &'static str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn optional_text(self, field: &'static str) -> Option<&'a str> {
        self.value(field).and_then(Value::as_str)
    }

    pub(crate) fn text(self, field: &'static str) -> Result<&'a str, Error> {
        self.optional_text(field).ok_or(Error::Field(field))
    }

    pub(crate) fn id(self) -> Result<Uuid, Error> {
        Uuid::parse_str(self.text("id")?).map_err(|_| Error::Field("id"))
    }

    pub(crate) fn flag(self, field: &'static str, default: bool) -> bool {
        self.value(field)
            .and_then(Value::as_bool)
            .unwrap_or(default)
    }

    pub(crate) fn optional_flag(self, field: &'static str) -> Option<bool> {
        self.value(field).and_then(Value::as_bool)
    }

    pub(crate) fn integer(self, field: &'static str) -> Option<i64> {
        let value = self.value(field)?;
        value.as_i64().or_else(|| {
            let float = value.as_f64()?;
            // The exact values that a JSON number may carry; the cast saturates.
            (float.fract() == 0.0).then_some(float as i64)
        })
    }

    /// An integer that must be there and fit.
    pub(crate) fn number<T: TryFrom<i64>>(self, field: &'static str) -> Result<T, Error> {
        let value = self.integer(field).ok_or(Error::Field(field))?;
        T::try_from(value).map_err(|_| Error::Value {
            field,
            value: value.to_string(),
        })
    }

    pub(crate) fn millis(self, field: &'static str, default: u64) -> Duration {
        let millis = self
            .integer(field)
            .and_then(|value| u64::try_from(value).ok());
        Duration::from_millis(millis.unwrap_or(default))
    }

    /// The id in a foreign field.
    pub(crate) fn foreign(self, field: &'static str) -> Result<Option<Uuid>, Error> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        let id = value.get("id").and_then(Value::as_str);
        let id = id.and_then(|id| Uuid::parse_str(id).ok());
        id.map(Some).ok_or(Error::Field(field))
    }

    /// The texts in an array or set; none if it is null.
    pub(crate) fn texts(self, field: &'static str) -> impl Iterator<Item = &'a str> {
        self.items(field).iter().filter_map(Value::as_str)
    }

    /// The elements of an array or set; none if it is null.
    pub(crate) fn items(self, field: &'static str) -> &'a [Value] {
        self.value(field)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// The pairs of a map; none if it is null.
    pub(crate) fn pairs(self, field: &'static str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let map = self.value(field).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value))
    }
}
