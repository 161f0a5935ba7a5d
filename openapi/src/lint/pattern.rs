//! Patterns that mean the same in ECMA-262 (with the `u` flag), Python and Rust: what validators and SDKs use.

/// Letters of classes and controls that all three know, and the signs of the syntax.
const PORTABLE_ESCAPES: &str = r"dDwWsSnrtfv^$\.*+?()[]{}|/";

/// What stands before the reading position, for quantifiers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing that could be repeated.
    Nothing,
    /// Something that may be repeated.
    Atom,
    /// Something already repeated, which `?` may make lazy.
    Repeated,
}

/// Why a pattern is not portable; `None` when it is.
pub fn fault(pattern: &str) -> Option<String> {
    Scan {
        rest: pattern,
        before: Before::Nothing,
        depth: 0,
    }
    .run()
    .err()
}

struct Scan<'a> {
    rest: &'a str,
    before: Before,
    /// Open groups.
    depth: usize,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        let mut letters = self.rest.chars();
        let letter = letters.next();
        self.rest = letters.as_str();
        letter
    }

    fn run(mut self) -> Result<(), String> {
        while let Some(letter) = self.next() {
            match letter {
                '\\' => {
                    self.escape(false)?;
                    self.before = Before::Atom;
                }
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => {
                    self.depth = self.depth.checked_sub(1).ok_or("`)` without `(`")?;
                    self.before = Before::Atom;
                }
                '*' | '+' | '?' | '{' => self.repeat(letter)?,
                ']' | '}' => return Err(format!("`{letter}` must be escaped")),
                '^' | '$' | '|' => self.before = Before::Nothing,
                _ => self.before = Before::Atom,
            }
        }
        if self.depth == 0 {
            Ok(())
        } else {
            Err("`(` without `)`".to_owned())
        }
    }

    /// After a backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        match self.next() {
            Some('-') if in_class => Ok(()),
            Some('b' | 'B') if !in_class => Ok(()),
            Some(known) if PORTABLE_ESCAPES.contains(known) => Ok(()),
            Some(other) => Err(format!("`\\{other}` is not the same everywhere")),
            None => Err("it ends in a backslash".to_owned()),
        }
    }

    /// After `[`: no nested class, no set operation, not empty.
    fn class(&mut self) -> Result<(), String> {
        self.rest = self.rest.strip_prefix('^').unwrap_or(self.rest);
        if self.rest.starts_with(']') {
            return Err("an empty class is not the same everywhere".to_owned());
        }
        loop {
            if ["&&", "--", "~~", "||"]
                .iter()
                .any(|operator| self.rest.starts_with(operator))
            {
                return Err("set operations in a class are not the same everywhere".to_owned());
            }
            match self.next() {
                Some('\\') => self.escape(true)?,
                Some('[') => return Err("`[` in a class must be escaped".to_owned()),
                Some(']') => break,
                Some(_) => {}
                None => return Err("`[` without `]`".to_owned()),
            }
        }
        self.before = Before::Atom;
        Ok(())
    }

    /// After `(`: a plain or `(?:` group; no look-around, flags or names.
    fn open(&mut self) -> Result<(), String> {
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest
                .strip_prefix(':')
                .ok_or("of the `(?` groups only `(?:` is the same everywhere")?;
        }
        self.depth += 1;
        self.before = Before::Nothing;
        Ok(())
    }

    fn repeat(&mut self, sign: char) -> Result<(), String> {
        match (self.before, sign) {
            (Before::Nothing, _) => return Err(format!("`{sign}` repeats nothing")),
            (Before::Repeated, '?') => {
                self.before = Before::Nothing;
                return Ok(());
            }
            (Before::Repeated, _) => return Err(format!("`{sign}` after a repetition is not the same everywhere")),
            (Before::Atom, _) => {}
        }
        if sign == '{' {
            let (count, rest) = self.rest.split_once('}').ok_or("`{` without `}`")?;
            let (least, most) = count.split_once(',').unwrap_or((count, count));
            let least: u32 = least.parse().map_err(|_| "`{` without a number".to_owned())?;
            if !most.is_empty() && most.parse::<u32>().ok().is_none_or(|most| most < least) {
                return Err(format!("`{{{count}}}` is no range"));
            }
            self.rest = rest;
        }
        self.before = Before::Repeated;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_patterns_pass() {
        for pattern in [
            "^[a-z0-9][a-z0-9-]{0,62}$",
            "^[A-Za-z_][A-Za-z0-9_.-]{0,254}$",
            r"^(?:srm_pat_|srm_ses_)[0-9A-Za-z]{30,}$",
            r"^\d{6}$|^a+?b*\.\[x\]$",
            r"[^\]\\\-]",
            "",
        ] {
            assert_eq!(fault(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn others_are_found() {
        for pattern in [
            r"\p{L}",
            r"\P{L}",
            "(?<=a)b",
            "(?<!a)b",
            "(?=a)",
            "(?i)a",
            "(?P<n>a)",
            r"\Aa\z",
            r"\1",
            r"\_",
            "a++",
            "a**",
            "*a",
            "(|+a)",
            "a{,3}",
            "a{3,1}",
            "a{x}",
            "a{1",
            "[a",
            "[]",
            "[^]",
            "[[:alpha:]]",
            "[a&&b]",
            "(a",
            "a)",
            "a]",
            "}",
            "^*",
            r"a\",
        ] {
            assert!(fault(pattern).is_some(), "{pattern}");
        }
    }
}
