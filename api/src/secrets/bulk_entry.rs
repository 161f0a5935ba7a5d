//! One value of a change of several.

use std::borrow::Cow;

use domain::kernel::Secret;
use domain::secrets::NewValue;
use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

/// A value with its comment.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct BulkValue {
    /// Up to 64 KiB of UTF-8, without U+0000.
    #[oai(write_only)]
    pub value: String,
    /// Up to 1 KiB. Absent: the comment stays.
    #[oai(write_only)]
    pub comment: Option<String>,
}

/// A value, alone or with its comment. The union that poem-openapi derives copies each of a thousand values twice, and writes
/// it into the text of an error that nobody reads.
pub enum BulkEntry {
    Plain(String),
    Commented(BulkValue),
}

impl From<BulkEntry> for NewValue {
    fn from(entry: BulkEntry) -> Self {
        match entry {
            BulkEntry::Plain(value) => Self {
                value: Secret::new(value),
                comment: None,
            },
            BulkEntry::Commented(BulkValue { value, comment }) => Self {
                value: Secret::new(value),
                comment: comment.map(Secret::new),
            },
        }
    }
}

impl Type for BulkEntry {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "BulkEntry".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |registry| {
            BulkValue::register(registry);
            MetaSchema {
                description: Some("A value, alone or with its comment."),
                one_of: vec![String::schema_ref(), BulkValue::schema_ref()],
                ..MetaSchema::ANY
            }
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ParseFromJSON for BulkEntry {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(value)) => Ok(Self::Plain(value)),
            other => BulkValue::parse_from_json(other)
                .map(Self::Commented)
                .map_err(ParseError::propagate),
        }
    }
}

impl ToJSON for BulkEntry {
    fn to_json(&self) -> Option<Value> {
        match self {
            Self::Plain(value) => value.to_json(),
            Self::Commented(value) => value.to_json(),
        }
    }
}
