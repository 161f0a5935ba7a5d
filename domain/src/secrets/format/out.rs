//! Where text is written to: a string, or a measure of how long it will be.

/// Takes text piece by piece.
pub(super) trait Out {
    fn put(&mut self, text: &str);

    /// Puts text in double quotes, as both JSON and YAML read it. Escapes every character that YAML 1.1 or 1.2 does
    /// not let stand inside quotes, or reads as a line break there.
    fn put_quoted(&mut self, text: &str) {
        self.put("\"");
        let mut rest = text;
        while let Some((at, special)) = rest.char_indices().find(|(_, c)| is_special(*c)) {
            let (plain, tail) = rest.split_at(at);
            self.put(plain);
            self.put_escaped(special);
            rest = tail.split_at(special.len_utf8()).1;
        }
        self.put(rest);
        self.put("\"");
    }

    fn put_escaped(&mut self, special: char) {
        match special {
            '"' => self.put("\\\""),
            '\\' => self.put("\\\\"),
            '\n' => self.put("\\n"),
            '\r' => self.put("\\r"),
            '\t' => self.put("\\t"),
            // Every other special character is in the basic plane, so four digits are enough.
            other => self.put(&format!("\\u{:04x}", u32::from(other))),
        }
    }
}

fn is_special(c: char) -> bool {
    matches!(
        c,
        '"' | '\\' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    ) || c.is_control()
}

impl Out for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }
}

/// Counts what is written.
#[derive(Default)]
pub(super) struct Length(usize);

impl Length {
    pub(super) fn bytes(&self) -> usize {
        self.0
    }
}

impl Out for Length {
    fn put(&mut self, text: &str) {
        self.0 += text.len();
    }
}
