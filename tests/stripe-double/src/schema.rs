//! Judges parameters by the types of Stripe's own SDK, and gives them the types that text on the wire has lost.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};

use crate::fault::Fault;

const SOURCES: [(&str, &str); 14] = [
    ("customer_create", include_str!("../schemas/customer_create.json")),
    ("customer_update", include_str!("../schemas/customer_update.json")),
    ("customer_list", include_str!("../schemas/customer_list.json")),
    (
        "checkout_session_create",
        include_str!("../schemas/checkout_session_create.json"),
    ),
    (
        "checkout_session_list",
        include_str!("../schemas/checkout_session_list.json"),
    ),
    (
        "portal_session_create",
        include_str!("../schemas/portal_session_create.json"),
    ),
    (
        "subscription_update",
        include_str!("../schemas/subscription_update.json"),
    ),
    (
        "subscription_cancel",
        include_str!("../schemas/subscription_cancel.json"),
    ),
    ("subscription_list", include_str!("../schemas/subscription_list.json")),
    (
        "subscription_item_update",
        include_str!("../schemas/subscription_item_update.json"),
    ),
    ("price_list", include_str!("../schemas/price_list.json")),
    ("event_list", include_str!("../schemas/event_list.json")),
    ("invoice_list", include_str!("../schemas/invoice_list.json")),
    ("retrieve", include_str!("../schemas/retrieve.json")),
];

static SCHEMAS: LazyLock<BTreeMap<&'static str, Schema>> = LazyLock::new(|| {
    SOURCES
        .iter()
        .map(|(name, text)| (*name, Schema::parse(text)))
        .collect()
});

struct Schema {
    root: Value,
    validator: Validator,
}

/// Parameters with their types, if the schema `name` allows them.
pub(crate) fn check(name: &str, params: Value) -> Result<Value, Fault> {
    let schema = SCHEMAS.get(name).expect("a schema of this name");
    let params = schema.typed(params, &schema.root);
    let refusal = schema.validator.iter_errors(&params).next().map(|error| fault(&error));
    refusal.map_or(Ok(params), Err)
}

impl Schema {
    fn parse(text: &str) -> Self {
        let root: Value = serde_json::from_str(text).expect("a schema is JSON");
        let validator = jsonschema::draft7::new(&root).expect("a schema of draft 7");
        Self { root, validator }
    }

    /// The schema itself, or those that it lets choose from.
    fn choices<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.trim_start_matches("#/definitions/");
            let name: String = url::form_urlencoded::parse(name.as_bytes())
                .map(|(name, _)| name.into_owned())
                .collect();
            return self.choices(&self.root["definitions"][name.as_str()]);
        }
        match schema["anyOf"].as_array() {
            Some(choices) => choices.iter().flat_map(|choice| self.choices(choice)).collect(),
            None => vec![schema],
        }
    }

    /// Text becomes a number or a truth value where the schema wants one and the text is one.
    fn typed(&self, value: Value, schema: &Value) -> Value {
        let choices = self.choices(schema);
        match value {
            Value::String(text) => typed_text(text, &choices),
            Value::Array(items) => match choices.iter().find(|choice| is(choice, "array")) {
                Some(choice) => {
                    let typed = items.into_iter().map(|item| self.typed(item, &choice["items"]));
                    Value::Array(typed.collect())
                }
                // Metadata may be named by numbers.
                None if choices.iter().any(|choice| is(choice, "object")) => {
                    let named = items.into_iter().enumerate();
                    let map: Map<String, Value> = named.map(|(name, item)| (name.to_string(), item)).collect();
                    self.typed(Value::Object(map), schema)
                }
                None => Value::Array(items),
            },
            Value::Object(map) => {
                let mut objects = choices.iter().filter(|choice| is(choice, "object"));
                let fits = |choice: &&&Value| map.keys().all(|name| !choice["properties"][name.as_str()].is_null());
                let Some(choice) = objects.clone().find(fits).or_else(|| objects.next()) else {
                    return Value::Object(map);
                };
                let fields = map.into_iter().map(|(name, value)| {
                    let property = match &choice["properties"][name.as_str()] {
                        Value::Null => &choice["additionalProperties"],
                        property => property,
                    };
                    let value = self.typed(value, property);
                    (name, value)
                });
                Value::Object(fields.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }
}

fn is(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::String(one) => one == kind,
        Value::Array(many) => many.iter().any(|one| one == kind),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn typed_text(text: String, choices: &[&Value]) -> Value {
    let any_text = |choice: &&Value| is(choice, "string") && choice["const"].is_null() && choice["enum"].is_null();
    if choices.iter().any(any_text) {
        return Value::String(text);
    }
    if choices.iter().any(|choice| is(choice, "boolean")) && (text == "true" || text == "false") {
        return Value::Bool(text == "true");
    }
    let number = choices
        .iter()
        .any(|choice| is(choice, "number") || is(choice, "integer"));
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(whole), _) if number => Value::from(whole),
        (Err(_), Ok(fraction)) if number => Value::from(fraction),
        _ => Value::String(text),
    }
}

/// `/line_items/0/price` as `line_items[0][price]`.
fn param(pointer: &str) -> String {
    let mut parts = pointer.split('/').skip(1);
    let head = parts.next().unwrap_or_default().to_owned();
    parts.fold(head, |name, part| format!("{name}[{part}]"))
}

fn fault(error: &ValidationError<'_>) -> Fault {
    let at = error.instance_path().to_string();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let name = param(&format!("{at}/{}", unexpected.first().map_or("", String::as_str)));
            Fault::param(
                "parameter_unknown",
                name.clone(),
                format!("Received unknown parameter: {name}"),
            )
        }
        ValidationErrorKind::Required { property } => {
            let name = param(&format!("{at}/{}", property.as_str().unwrap_or_default()));
            Fault::param(
                "parameter_missing",
                name.clone(),
                format!("Missing required param: {name}."),
            )
        }
        ValidationErrorKind::AnyOf { context } => {
            // The branch that came furthest names what is wrong.
            let inner = context.iter().flatten();
            let deepest = inner.max_by_key(|error| error.instance_path().to_string().len());
            match deepest {
                Some(inner) if inner.instance_path().to_string().len() > at.len() => fault(inner),
                Some(inner)
                    if matches!(
                        inner.kind(),
                        ValidationErrorKind::AdditionalProperties { .. } | ValidationErrorKind::Required { .. }
                    ) =>
                {
                    fault(inner)
                }
                Some(_) | None => invalid(&at),
            }
        }
        _ => invalid(&at),
    }
}

fn invalid(at: &str) -> Fault {
    let name = param(at);
    Fault::param("parameter_invalid", name.clone(), format!("Invalid value for {name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{SOURCES, check};
    use crate::form::decode;

    fn judged(schema: &str, form: &str) -> Result<serde_json::Value, (String, String)> {
        check(schema, decode(form.as_bytes()).unwrap()).map_err(|fault| {
            (
                fault.code.unwrap_or_default().to_owned(),
                fault.param.unwrap_or_default(),
            )
        })
    }

    const CHECKOUT: &str = "mode=subscription&customer=cus_1&success_url=https://acme.example/ok\
                            &line_items[0][price]=price_1&line_items[0][quantity]=2";

    #[test]
    fn every_schema_compiles() {
        for (name, _) in SOURCES {
            let _ = check(name, json!({}));
        }
    }

    #[test]
    fn a_right_checkout_gets_its_types_back() {
        let form = format!(
            "{CHECKOUT}&metadata[org_id]=42&allow_promotion_codes=true&subscription_data[trial_period_days]=14\
             &subscription_data[trial_settings][end_behavior][missing_payment_method]=cancel&automatic_tax[enabled]=false"
        );
        let typed = judged("checkout_session_create", &form).unwrap();
        assert_eq!(typed["line_items"], json!([{"price": "price_1", "quantity": 2}]));
        assert_eq!(typed["metadata"], json!({"org_id": "42"}));
        assert_eq!(typed["allow_promotion_codes"], json!(true));
        assert_eq!(typed["subscription_data"]["trial_period_days"], json!(14));
    }

    #[test]
    fn what_the_sdk_does_not_know_is_refused() {
        for (more, param) in [
            ("&line_item=1", "line_item"),
            ("&line_items[0][prices]=p", "line_items[0][prices]"),
            ("&subscription_data[trial_days]=3", "subscription_data[trial_days]"),
        ] {
            let (code, named) = judged("checkout_session_create", &format!("{CHECKOUT}{more}")).unwrap_err();
            assert_eq!((code.as_str(), named.as_str()), ("parameter_unknown", param));
        }
    }

    #[test]
    fn ill_typed_values_are_refused() {
        for wrong in [
            CHECKOUT.replace("mode=subscription", "mode=sub"),
            CHECKOUT.replace("[quantity]=2", "[quantity]=two"),
            format!("{CHECKOUT}&allow_promotion_codes=1"),
            format!("{CHECKOUT}&automatic_tax=true"),
        ] {
            assert!(judged("checkout_session_create", &wrong).is_err(), "{wrong}");
        }
        assert!(judged("subscription_update", "cancel_at_period_end=maybe").is_err());
        assert!(
            judged(
                "subscription_update",
                "cancel_at_period_end=true&items[0][id]=si_1&items[0][quantity]=3"
            )
            .is_ok()
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            judged(
                "checkout_session_create",
                "mode=subscription&automatic_tax[liability][type]=self"
            )
            .unwrap_err(),
            ("parameter_missing".to_owned(), "automatic_tax[enabled]".to_owned())
        );
    }
}
