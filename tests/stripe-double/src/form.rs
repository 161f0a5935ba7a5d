//! Nested form parameters: `items[0][price]=p&metadata[org]=o` as a tree with text leaves.

use serde_json::{Map, Value};

/// Decodes a form body or a query.
pub(crate) fn decode(text: &[u8]) -> Result<Value, String> {
    let mut root = Map::new();
    for (name, value) in url::form_urlencoded::parse(text) {
        insert(&mut root, &segments(&name)?, &value).map_err(|()| format!("Invalid parameter: {name}"))?;
    }
    let fields = root.into_iter().map(|(name, value)| (name, with_arrays(value)));
    Ok(Value::Object(fields.collect()))
}

/// `a[b][0]` is `a`, `b`, `0`.
fn segments(name: &str) -> Result<Vec<String>, String> {
    let Some((head, mut rest)) = name.split_once('[') else {
        return Ok(vec![name.to_owned()]);
    };
    let mut found = vec![head.to_owned()];
    loop {
        let (part, after) = rest
            .split_once(']')
            .ok_or_else(|| format!("Invalid parameter name: {name}"))?;
        found.push(part.to_owned());
        if after.is_empty() {
            return Ok(found);
        }
        rest = after
            .strip_prefix('[')
            .ok_or_else(|| format!("Invalid parameter name: {name}"))?;
    }
}

fn insert(into: &mut Map<String, Value>, path: &[String], leaf: &str) -> Result<(), ()> {
    let (first, rest) = path.split_first().ok_or(())?;
    // `expand[]=a&expand[]=b` numbers by itself.
    let key = if first.is_empty() {
        into.len().to_string()
    } else {
        first.clone()
    };
    if rest.is_empty() {
        into.insert(key, Value::String(leaf.to_owned()));
        return Ok(());
    }
    match into.entry(key).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(below) => insert(below, rest, leaf),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(()),
    }
}

/// Objects whose names are numbers are arrays.
fn with_arrays(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let numbers: Option<Vec<u32>> = map.keys().map(|name| name.parse().ok()).collect();
    let fields = map.into_iter().map(|(name, value)| (name, with_arrays(value)));
    match numbers {
        Some(numbers) if !numbers.is_empty() => {
            let mut items: Vec<(u32, Value)> = numbers.into_iter().zip(fields.map(|(_, value)| value)).collect();
            items.sort_by_key(|(number, _)| *number);
            Value::Array(items.into_iter().map(|(_, value)| value).collect())
        }
        Some(_) | None => Value::Object(fields.collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::decode;

    #[test]
    fn nested_names_become_a_tree() {
        let text = "mode=subscription&line_items[0][price]=p&line_items[0][quantity]=2&metadata[org_id]=o%20x\
                    &expand[]=a&expand[]=b.c&line_items[1][price]=q";
        assert_eq!(
            decode(text.as_bytes()).unwrap(),
            json!({
                "mode": "subscription",
                "line_items": [{"price": "p", "quantity": "2"}, {"price": "q"}],
                "metadata": {"org_id": "o x"},
                "expand": ["a", "b.c"],
            })
        );
        assert_eq!(decode(b"").unwrap(), json!({}));
    }

    #[test]
    fn names_that_contradict_each_other_are_refused() {
        for text in ["a=1&a[b]=2", "a[b=1", "a[b]c=1"] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
