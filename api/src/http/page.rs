//! Lists as the API shows them.

use domain::kernel::page::{CursorPage, Page};
use poem_openapi::types::{ParseFromJSON, ToJSON};
use poem_openapi::{Object, types::Type};

/// How a page lies in its list.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Pagination {
    /// Entries of a page at most.
    pub limit: u64,
    /// Entries before this page.
    pub offset: u64,
    /// Entries of the whole list.
    pub total: u64,
    /// Whether there are entries behind this page.
    pub has_more: bool,
    /// In journal lists: hand it back as `after` for the next page; absent on the last.
    pub next_cursor: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Object)]
#[oai(rename = "List")]
pub struct List<T: Type + ParseFromJSON + ToJSON + Send + Sync> {
    /// The entries.
    pub data: Vec<T>,
    /// Where this page lies.
    pub pagination: Pagination,
}

impl<T: Type + ParseFromJSON + ToJSON + Send + Sync> List<T> {
    pub fn of<R>(page: Page<R>, entry: impl FnMut(R) -> T) -> Self {
        let pagination = pagination(&page, None);
        Self {
            data: page.data.into_iter().map(entry).collect(),
            pagination,
        }
    }

    pub fn of_cursor<R>(cursor: CursorPage<R>, entry: impl FnMut(R) -> T) -> Self {
        // The offset does not tell how far a cursor has come.
        let pagination = Pagination {
            has_more: cursor.next_cursor.is_some(),
            ..pagination(&cursor.page, cursor.next_cursor)
        };
        Self {
            data: cursor.page.data.into_iter().map(entry).collect(),
            pagination,
        }
    }
}

/// How a page lies in its list.
pub fn pagination<T>(page: &Page<T>, next_cursor: Option<String>) -> Pagination {
    Pagination {
        limit: page.request.limit,
        offset: page.request.offset,
        total: page.total,
        has_more: page.has_more(),
        next_cursor,
    }
}
