//! A change of an environment while it is worked out: on a copy, which is kept or thrown away.

use domain::kernel::Timestamp;

use super::environment::{Environment, Revision, Secret, Version};

/// What a change does to one secret.
#[derive(Clone, Debug)]
pub struct Line {
    pub key: String,
    pub status: &'static str,
    pub version: usize,
    /// The comment that it has afterwards.
    pub comment: String,
}

/// When a request is made, and by which of the writers.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub at: Timestamp,
    pub by: usize,
}

pub struct Change {
    after: Environment,
    now: Now,
    lines: Vec<Line>,
}

impl Change {
    pub fn of(environment: &Environment, now: Now) -> Self {
        Self {
            after: environment.clone(),
            now,
            lines: Vec::new(),
        }
    }

    /// Stores a value under a key, in a secret that is or was there or in a new one. Without a comment that of a live
    /// secret stays.
    pub fn put(&mut self, current: Option<usize>, key: &str, value: &str, comment: Option<&str>) {
        let live = current.filter(|index| self.after.secrets[*index].deleted_at.is_none());
        let kept = live.map(|index| self.after.secrets[index].newest().clone());
        let comment = match (comment, &kept) {
            (Some(comment), _) => comment,
            (None, Some(kept)) => kept.comment.as_str(),
            (None, None) => "",
        };
        let is_renamed = live.is_some_and(|index| self.after.secrets[index].key != key);
        let is_same = kept
            .as_ref()
            .is_some_and(|kept| kept.value == value && kept.comment == comment);
        if let Some(index) = live.filter(|_| is_same && !is_renamed) {
            self.line(index, "unchanged");
            return;
        }
        let version = Version {
            value: value.to_owned(),
            comment: comment.to_owned(),
            at: self.now.at,
            by: self.now.by,
            is_destroyed: false,
        };
        let index = current.unwrap_or(self.after.secrets.len());
        if current.is_none() {
            self.after.secrets.push(Secret {
                key: key.to_owned(),
                versions: Vec::new(),
                deleted_at: None,
            });
        }
        let secret = &mut self.after.secrets[index];
        key.clone_into(&mut secret.key);
        secret.versions.push(version);
        secret.deleted_at = None;
        let status = match (live, is_renamed) {
            (None, _) => "created",
            (Some(_), false) => "updated",
            (Some(_), true) => "renamed",
        };
        self.line(index, status);
    }

    /// Deletes a live secret. Its versions stay.
    pub fn delete(&mut self, index: usize) {
        self.after.secrets[index].deleted_at = Some(self.now.at);
        self.line(index, "deleted");
    }

    /// Gives a live secret another key. Its version stays.
    pub fn rename(&mut self, index: usize, key: &str) {
        key.clone_into(&mut self.after.secrets[index].key);
        self.line(index, "renamed");
    }

    /// Brings a deleted secret back as it was, under a key that is free.
    pub fn restore(&mut self, index: usize, key: &str) {
        let secret = &mut self.after.secrets[index];
        key.clone_into(&mut secret.key);
        secret.deleted_at = None;
        self.line(index, "restored");
    }

    fn line(&mut self, index: usize, status: &'static str) {
        let secret = &self.after.secrets[index];
        self.lines.push(Line {
            key: secret.key.clone(),
            status,
            version: secret.version(),
            comment: secret.newest().comment.clone(),
        });
    }

    /// The environment afterwards, with one revision more if anything changed, and what became of each secret.
    pub fn close(mut self, action: &'static str) -> (Environment, Vec<Line>) {
        let changes = self.lines.iter().filter(|line| line.status != "unchanged").count();
        if changes > 0 {
            let held = self.after.held();
            self.after.revisions.push(Revision {
                action,
                changes,
                at: self.now.at,
                by: self.now.by,
                held,
            });
        }
        (self.after, self.lines)
    }

    /// The same for a change of one secret, which is an event of that secret.
    pub fn close_one(self) -> (Environment, Line) {
        let action = match self.lines[0].status {
            "created" => "secret.created",
            "restored" => "secret.restored",
            "deleted" => "secret.deleted",
            _ => "secret.updated",
        };
        let (after, mut lines) = self.close(action);
        (after, lines.remove(0))
    }
}
