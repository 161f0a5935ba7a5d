//! Pages of a list.

use super::{Problem, Result};

/// Source: design of the API, lists.
pub const DEFAULT_LIMIT: u64 = 20;
pub const MAX_LIMIT: u64 = 100;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest {
    pub limit: u64,
    pub offset: u64,
}

impl PageRequest {
    /// Checks what the caller sent; both may be absent.
    ///
    /// # Errors
    /// `invalid_field` naming `limit` or `offset`.
    pub fn new(limit: Option<i64>, offset: Option<i64>, max: u64) -> Result<Self> {
        let limit = match limit {
            None => DEFAULT_LIMIT.min(max),
            Some(limit) => u64::try_from(limit)
                .ok()
                .filter(|limit| (1..=max).contains(limit))
                .ok_or_else(|| Problem::field("limit", "range", format!("must be between 1 and {max}")))?,
        };
        let offset = match offset {
            None => 0,
            Some(offset) => {
                u64::try_from(offset).map_err(|_| Problem::field("offset", "range", "must not be negative"))?
            }
        };
        Ok(Self { limit, offset })
    }
}

/// One page and how it lies in the whole list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub data: Vec<T>,
    pub request: PageRequest,
    /// Rows in the whole list.
    pub total: u64,
}

impl<T> Page<T> {
    /// The wanted part of a list that is already in memory.
    pub fn of(all: Vec<T>, request: PageRequest) -> Self {
        let total = all.len() as u64;
        let offset = usize::try_from(request.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        Self {
            data: all.into_iter().skip(offset).take(limit).collect(),
            request,
            total,
        }
    }

    pub fn has_more(&self) -> bool {
        self.request.offset + (self.data.len() as u64) < self.total
    }

    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            data: self.data.into_iter().map(f).collect(),
            request: self.request,
            total: self.total,
        }
    }

    /// Like [`Page::map`], up to the first failure.
    ///
    /// # Errors
    /// What `f` fails with.
    pub fn try_map<U>(self, f: impl FnMut(T) -> Result<U>) -> Result<Page<U>> {
        Ok(Page {
            data: self.data.into_iter().map(f).collect::<Result<_>>()?,
            request: self.request,
            total: self.total,
        })
    }
}

/// A position in an append-only list: everything after this sequence number, newest or oldest first.
#[derive(Clone, Debug)]
pub struct CursorPage<T> {
    pub page: Page<T>,
    /// Hand it back as `after` to go on; `None` at the end.
    pub next_cursor: Option<String>,
}
