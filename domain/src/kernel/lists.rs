//! Lists in statements: many rows of values, and lists as one parameter, so that a statement is the same however long its list
//! is, and the database plans it once.

use sea_orm::sea_query::ArrayType;
use uuid::Uuid;

use super::Backend;

/// The marks of rows as `VALUES` takes them: `($1, $2), ($3, $4)` for two rows of two values. Other marks of the statement
/// count on behind these.
pub fn value_marks(backend: Backend, rows: usize, width: usize) -> String {
    let row = |row: usize| {
        let mark = |n| match backend {
            Backend::Postgres => format!("${}", row * width + n),
            // SQLite looks each numbered one up in a list of all, which for thousands takes long.
            Backend::Sqlite => "?".to_owned(),
        };
        let marks: Vec<String> = (1..=width).map(mark).collect();
        format!("({})", marks.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// A list of ids as one parameter of a statement, so that the text of the statement is the same however many there are,
/// and the database plans it once. [`is_one_of`] reads it.
pub fn id_param(ids: impl IntoIterator<Item = Uuid>) -> sea_orm::Value {
    let ids: Vec<String> = ids.into_iter().map(|id| format!("\"{}\"", id.simple())).collect();
    format!("[{}]", ids.join(",")).into()
}

/// The condition that a column is one of the ids of the [`id_param`] in the place of `mark`.
pub fn is_one_of(backend: Backend, column: &str, mark: &str) -> String {
    match backend {
        // An array is looked up along the index, whatever the planner believes of the size of the table.
        Backend::Postgres => {
            format!("{column} = ANY(ARRAY(SELECT value::uuid FROM json_array_elements_text({mark}::json)))")
        }
        Backend::Sqlite => format!("{column} IN (SELECT unhex(value) FROM json_each({mark}))"),
    }
}

/// A list of texts as one parameter, as [`id_param`] makes one of ids.
pub fn text_param(texts: &[&str]) -> sea_orm::Value {
    serde_json::json!(texts).to_string().into()
}

/// The condition that a column is one of some texts, with their parameter, which stands in the place of `mark`.
pub fn is_one_of_texts(backend: Backend, column: &str, mark: &str, texts: &[&str]) -> (String, sea_orm::Value) {
    match backend {
        // For a thousand texts JSON takes a quarter of what it takes to look them up. For the rest see `is_one_of`.
        Backend::Postgres => {
            let values = texts.iter().map(|text| (*text).into()).collect();
            (
                format!("{column} = ANY(ARRAY(SELECT UNNEST({mark}::text[])))"),
                sea_orm::Value::Array(ArrayType::String, Some(Box::new(values))),
            )
        }
        Backend::Sqlite => (
            format!("{column} IN (SELECT value FROM json_each({mark}))"),
            text_param(texts),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_count_through_the_rows() {
        assert_eq!(value_marks(Backend::Postgres, 2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(value_marks(Backend::Sqlite, 2, 3), "(?, ?, ?), (?, ?, ?)");
        assert_eq!(value_marks(Backend::Postgres, 0, 3), "");
    }
}
