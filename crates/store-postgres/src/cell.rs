//! Values of records as values of columns: the type of the column decides, as the server tells it.

use bytes::BytesMut;
use schema::Kind;
use serde_json::{Number, Value, json};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use uuid::Uuid;

/// Any error of a conversion, as the driver wants it.
type Cause = Box<dyn std::error::Error + Sync + Send>;

/// Microseconds from the Unix epoch to that of PostgreSQL, 2000-01-01.
const EPOCH: i64 = 946_684_800_000_000;

/// A value that is ready for its column.
#[derive(Debug)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Small(i16),
    Integer(i32),
    Big(i64),
    Real(f32),
    Double(f64),
    Boolean(bool),
    Id(Uuid),
    Time(Micros),
    Json(Value),
    Texts(Vec<Option<String>>),
    Ids(Vec<Uuid>),
    Jsons(Vec<Value>),
}

/// A moment, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Micros(pub(crate) i64);

impl Micros {
    /// The moment that a number of seconds names, to the millisecond.
    fn from_seconds(seconds: f64) -> Option<Self> {
        let millis = (seconds * 1000.0).round();
        // Perf and safety: the bounds are those of PostgreSQL's calendar, far inside what an i64 holds.
        (millis.abs() < 9e15).then_some(Self(millis as i64 * 1000))
    }
}

/// Converts a value for a column of type `ty`; `None` if it does not belong there.
pub(crate) fn encode(value: &Value, ty: &Type) -> Option<Cell> {
    if value.is_null() {
        return Some(Cell::Null);
    }
    Some(match *ty {
        Type::JSON | Type::JSONB => Cell::Json(value.clone()),
        Type::JSON_ARRAY | Type::JSONB_ARRAY => Cell::Jsons(value.as_array()?.clone()),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => {
            let texts = value.as_array()?.iter();
            let text = |value: &Value| value.as_str().map(|text| Some(text.to_owned()));
            Cell::Texts(texts.map(text).collect::<Option<_>>()?)
        }
        Type::UUID_ARRAY => {
            let ids = value.as_array()?.iter();
            let id = |value: &Value| Uuid::parse_str(value.as_str()?).ok();
            Cell::Ids(ids.map(id).collect::<Option<_>>()?)
        }
        // A reference is the id that it holds.
        Type::UUID => Cell::Id(Uuid::parse_str(value.get("id").unwrap_or(value).as_str()?).ok()?),
        Type::TEXT | Type::VARCHAR => Cell::Text(value.as_str()?.to_owned()),
        Type::BOOL => Cell::Boolean(value.as_bool()?),
        Type::INT2 => Cell::Small(i16::try_from(whole(value)?).ok()?),
        Type::INT4 => Cell::Integer(i32::try_from(whole(value)?).ok()?),
        Type::INT8 => Cell::Big(whole(value)?),
        Type::FLOAT4 => Cell::Real(value.as_f64()? as f32),
        Type::FLOAT8 => Cell::Double(value.as_f64()?),
        Type::TIMESTAMPTZ | Type::TIMESTAMP => Cell::Time(Micros::from_seconds(value.as_f64()?)?),
        _ => return None,
    })
}

/// A whole number, however it is written.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let real = value.as_f64()?;
        (real.fract() == 0.0 && real.abs() < 9e15).then_some(real as i64)
    })
}

impl ToSql for Cell {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Cause> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Text(value) => value.to_sql(ty, out),
            Self::Small(value) => value.to_sql(ty, out),
            Self::Integer(value) => value.to_sql(ty, out),
            Self::Big(value) => value.to_sql(ty, out),
            Self::Real(value) => value.to_sql(ty, out),
            Self::Double(value) => value.to_sql(ty, out),
            Self::Boolean(value) => value.to_sql(ty, out),
            Self::Id(value) => value.to_sql(ty, out),
            Self::Time(value) => value.to_sql(ty, out),
            Self::Json(value) => value.to_sql(ty, out),
            Self::Texts(value) => value.to_sql(ty, out),
            Self::Ids(value) => value.to_sql(ty, out),
            Self::Jsons(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

impl ToSql for Micros {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Cause> {
        out.extend_from_slice(&self.0.saturating_sub(EPOCH).to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::TIMESTAMPTZ | Type::TIMESTAMP)
    }

    tokio_postgres::types::to_sql_checked!();
}

impl FromSql<'_> for Micros {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Cause> {
        let bytes: [u8; 8] = raw.try_into()?;
        Ok(Self(i64::from_be_bytes(bytes).saturating_add(EPOCH)))
    }

    fn accepts(ty: &Type) -> bool {
        <Self as ToSql>::accepts(ty)
    }
}

/// A value as the column of a row holds it, read as the field that it belongs to.
pub(crate) struct Read(Raw);

/// The bytes of a column, with their type.
enum Raw {
    Null,
    Value(Value),
    Time(Micros),
}

impl Read {
    /// The value of a field of this kind.
    pub(crate) fn into_value(self, kind: &Kind) -> Value {
        match (self.0, kind) {
            (Raw::Null, _) => Value::Null,
            (Raw::Value(id), Kind::Foreign(_)) => json!({ "id": id }),
            // Kong's libraries cannot always tell an empty list from an empty map.
            (Raw::Value(Value::Object(map)), Kind::Array(_) | Kind::Set(_)) if map.is_empty() => {
                Value::Array(Vec::new())
            }
            (Raw::Value(value), _) => value,
            (Raw::Time(Micros(micros)), Kind::Integer) => micros.div_euclid(1_000_000).into(),
            (Raw::Time(Micros(micros)), _) => number(micros as f64 / 1e6),
        }
    }

    /// The moment that the column holds.
    pub(crate) fn into_time(self) -> Option<Micros> {
        match self.0 {
            Raw::Time(time) => Some(time),
            _ => None,
        }
    }
}

impl<'r> FromSql<'r> for Read {
    fn from_sql(ty: &Type, raw: &'r [u8]) -> Result<Self, Cause> {
        let value = match *ty {
            Type::TIMESTAMPTZ | Type::TIMESTAMP => {
                return Ok(Self(Raw::Time(Micros::from_sql(ty, raw)?)));
            }
            Type::JSON | Type::JSONB => Value::from_sql(ty, raw)?,
            Type::JSON_ARRAY | Type::JSONB_ARRAY => {
                let values = Vec::<Option<Value>>::from_sql(ty, raw)?;
                values.into_iter().map(Option::unwrap_or_default).collect()
            }
            Type::TEXT_ARRAY | Type::VARCHAR_ARRAY => {
                Vec::<Option<String>>::from_sql(ty, raw)?.into()
            }
            Type::UUID_ARRAY => {
                let ids = Vec::<Option<Uuid>>::from_sql(ty, raw)?;
                let text = |id: Option<Uuid>| id.map(|id| id.to_string());
                ids.into_iter().map(text).collect::<Vec<_>>().into()
            }
            Type::UUID => Uuid::from_sql(ty, raw)?.to_string().into(),
            Type::TEXT | Type::VARCHAR => String::from_sql(ty, raw)?.into(),
            Type::BOOL => bool::from_sql(ty, raw)?.into(),
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::INT8 => i64::from_sql(ty, raw)?.into(),
            Type::FLOAT4 => number(f32::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => number(f64::from_sql(ty, raw)?),
            _ => return Err(format!("nothing is stored as {ty}").into()),
        };
        Ok(Self(Raw::Value(value)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Cause> {
        Ok(Self(Raw::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A number as JSON writes it: without a fraction where there is none.
fn number(real: f64) -> Value {
    if real.fract() == 0.0 && real.abs() < 9e15 {
        return (real as i64).into();
    }
    Number::from_f64(real).map_or(Value::Null, Value::Number)
}
