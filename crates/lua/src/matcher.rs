//! Lua's patterns, as `string.find` and its like read them, matched under a bound.
//!
//! Matching backtracks, so that three repetitions and a subject that fits none of them can cost the cube of its length:
//! LuaJIT's own matcher would keep a worker for minutes without passing an instruction at which a run can be ended.
//! This one counts every byte that it looks at, and asks now and then whether it may go on.

use std::fmt;

/// The most captures of a pattern.
const CAPTURES: usize = 32;
/// The most parts of a pattern that wait for what comes after them.
const DEPTH: usize = 200;
/// What has a meaning of its own in a pattern.
const SPECIAL: &[u8] = b"^$*+?.([%-";

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The pattern is none, in LuaJIT's words.
    Malformed(&'static str),
    /// The run has used up what it may.
    Spent(&'static str),
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Malformed(reason) | Self::Spent(reason)) = self;
        formatter.write_str(reason)
    }
}

/// Says whether a run may take more steps, so many at a time.
pub type Spend<'a> = &'a dyn Fn() -> Result<(), &'static str>;

/// A match: where it begins and ends in the subject, and what it captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    pub start: usize,
    pub end: usize,
    pub captures: Vec<Capture>,
}

/// What parentheses caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    Text {
        start: usize,
        end: usize,
    },
    /// `()`: a place, counted from zero.
    Place(usize),
}

/// How a pattern is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As a text to look for.
    Plain,
    /// As a text if nothing in it has a meaning of its own, or else anchored: what `find` does.
    Either,
    /// As a pattern; `^` ties it to the place where the search begins.
    Anchored,
    /// As a pattern in which `^` has no meaning at its beginning, for `gmatch`.
    Free,
}

/// Finds the first match that begins at or after a place. `spend` is asked once for every `step` bytes looked at.
pub fn find(
    subject: &[u8],
    pattern: &[u8],
    from: usize,
    reading: Reading,
    (step, spend): (u32, Spend<'_>),
) -> Result<Option<Match>, Stop> {
    let from = from.min(subject.len());
    let is_text = || !pattern.iter().any(|byte| SPECIAL.contains(byte));
    if reading == Reading::Plain || (reading == Reading::Either && is_text()) {
        let found = memchr::memmem::find(&subject[from..], pattern);
        return Ok(found.map(|at| Match {
            start: from + at,
            end: from + at + pattern.len(),
            captures: Vec::new(),
        }));
    }
    let (anchored, pattern) = match pattern.strip_prefix(b"^") {
        Some(rest) if reading != Reading::Free => (true, rest),
        _ => (false, pattern),
    };
    let mut search = Search {
        subject,
        pattern,
        captures: Vec::new(),
        depth: 0,
        taken: 0,
        step,
        spend,
    };
    let last = if anchored { from } else { subject.len() };
    for start in from..=last {
        search.captures.clear();
        search.step(1)?;
        if let Some(end) = search.run(start, 0)? {
            let captures = search.captures.iter().map(Open::closed);
            return Ok(Some(Match {
                start,
                end,
                captures: captures.collect::<Result<_, _>>()?,
            }));
        }
    }
    Ok(None)
}

/// A capture whose end may not have come yet.
#[derive(Clone, Copy)]
struct Open {
    start: usize,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Ahead,
    At(usize),
    /// It is a place.
    None,
}

impl Open {
    fn closed(&self) -> Result<Capture, Stop> {
        let start = self.start;
        match self.end {
            End::At(end) => Ok(Capture::Text { start, end }),
            End::None => Ok(Capture::Place(start)),
            End::Ahead => Err(Stop::Malformed("unfinished capture")),
        }
    }
}

struct Search<'a> {
    subject: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Open>,
    depth: usize,
    /// What was looked at since the last question.
    taken: u32,
    step: u32,
    spend: Spend<'a>,
}

type Outcome = Result<Option<usize>, Stop>;

impl Search<'_> {
    fn step(&mut self, bytes: usize) -> Result<(), Stop> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.taken = self.taken.saturating_add(bytes);
        while self.taken >= self.step {
            self.taken -= self.step;
            (self.spend)().map_err(Stop::Spent)?;
        }
        Ok(())
    }

    /// Matches the pattern from `part` on at a place of the subject; where the match ends.
    fn run(&mut self, at: usize, part: usize) -> Outcome {
        if self.depth == DEPTH {
            return Err(Stop::Malformed("pattern too complex"));
        }
        self.depth += 1;
        let outcome = self.run_parts(at, part);
        self.depth -= 1;
        outcome
    }

    fn run_parts(&mut self, mut at: usize, mut part: usize) -> Outcome {
        loop {
            let pattern = self.pattern;
            let next = match (pattern.get(part), pattern.get(part + 1)) {
                (None, _) => return Ok(Some(at)),
                (Some(b'('), Some(b')')) => return self.open(at, part + 2, End::None),
                (Some(b'('), _) => return self.open(at, part + 1, End::Ahead),
                (Some(b')'), _) => return self.close(at, part + 1),
                (Some(b'$'), None) => return Ok((at == self.subject.len()).then_some(at)),
                (Some(b'%'), Some(b'b')) => (self.balanced(at, part + 2)?, part + 4),
                (Some(b'%'), Some(b'f')) => {
                    let end = self.frontier(at, part + 2)?;
                    (end.is_some().then_some(at), end.unwrap_or_default())
                }
                (Some(b'%'), Some(digit @ b'0'..=b'9')) => (self.again(at, *digit)?, part + 2),
                _ => {
                    let end = self.class_end(part)?;
                    let one = self.matches_one(at, part, end)?;
                    match pattern.get(end) {
                        Some(b'?') => {
                            if one && let Some(found) = self.run(at + 1, end + 1)? {
                                return Ok(Some(found));
                            }
                            (Some(at), end + 1)
                        }
                        Some(b'*') => return self.longest(at, part, end),
                        Some(b'+') if one => return self.longest(at + 1, part, end),
                        Some(b'+') => return Ok(None),
                        Some(b'-') => return self.shortest(at, part, end),
                        _ => (one.then_some(at + 1), end),
                    }
                }
            };
            let (Some(reached), following) = next else {
                return Ok(None);
            };
            (at, part) = (reached, following);
        }
    }

    fn open(&mut self, at: usize, part: usize, end: End) -> Outcome {
        if self.captures.len() >= CAPTURES {
            return Err(Stop::Malformed("too many captures"));
        }
        self.captures.push(Open { start: at, end });
        let level = self.captures.len();
        let found = self.run(at, part)?;
        if found.is_none() {
            self.captures.truncate(level - 1);
        }
        Ok(found)
    }

    fn close(&mut self, at: usize, part: usize) -> Outcome {
        let open = self.captures.iter().rposition(|one| one.end == End::Ahead);
        let level = open.ok_or(Stop::Malformed("invalid pattern capture"))?;
        self.captures[level].end = End::At(at);
        let found = self.run(at, part)?;
        if found.is_none() {
            self.captures[level].end = End::Ahead;
        }
        Ok(found)
    }

    /// As many as there are, then fewer.
    fn longest(&mut self, at: usize, part: usize, end: usize) -> Outcome {
        let mut reached = at;
        while self.matches_one(reached, part, end)? {
            reached += 1;
        }
        for from in (at..=reached).rev() {
            if let Some(found) = self.run(from, end + 1)? {
                return Ok(Some(found));
            }
            self.step(1)?;
        }
        Ok(None)
    }

    /// As few as will do.
    fn shortest(&mut self, mut at: usize, part: usize, end: usize) -> Outcome {
        loop {
            if let Some(found) = self.run(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.matches_one(at, part, end)? {
                return Ok(None);
            }
            at += 1;
        }
    }

    /// `%b()`: from the one byte to the other that balances it.
    fn balanced(&mut self, at: usize, part: usize) -> Outcome {
        let (Some(open), Some(close)) = (self.pattern.get(part), self.pattern.get(part + 1)) else {
            return Err(Stop::Malformed("unbalanced pattern"));
        };
        let subject = self.subject;
        if subject.get(at) != Some(open) {
            return Ok(None);
        }
        let mut deep = 1_usize;
        for (place, byte) in subject.iter().enumerate().skip(at + 1) {
            self.step(1)?;
            if byte == close {
                deep -= 1;
                if deep == 0 {
                    return Ok(Some(place + 1));
                }
            } else if byte == open {
                deep += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: where the set begins to fit. Gives the part after the set.
    fn frontier(&mut self, at: usize, part: usize) -> Outcome {
        if self.pattern.get(part) != Some(&b'[') {
            return Err(Stop::Malformed("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(part)?;
        self.step(end - part)?;
        let byte_at = |at: Option<usize>| at.and_then(|at| self.subject.get(at)).copied();
        let before = byte_at(at.checked_sub(1)).unwrap_or(0);
        let here = byte_at(Some(at)).unwrap_or(0);
        let set = &self.pattern[part..end];
        Ok((!set_has(set, before) && set_has(set, here)).then_some(end))
    }

    /// `%1`: what a capture caught, once more.
    fn again(&mut self, at: usize, digit: u8) -> Outcome {
        let number = usize::from(digit - b'0');
        let capture = number.checked_sub(1).and_then(|at| self.captures.get(at));
        let Some(Open { start, end }) = capture else {
            return Err(Stop::Malformed("invalid capture index"));
        };
        let caught = match end {
            End::At(end) => self.subject.get(*start..*end).unwrap_or_default(),
            End::None => return Ok(None),
            End::Ahead => return Err(Stop::Malformed("invalid capture index")),
        };
        let found = self.subject[at..].starts_with(caught);
        let end = at + caught.len();
        self.step(caught.len())?;
        Ok(found.then_some(end))
    }

    /// Where the class that begins at a part of the pattern ends.
    fn class_end(&self, part: usize) -> Result<usize, Stop> {
        let pattern = self.pattern;
        match pattern.get(part) {
            Some(b'%') if part + 1 < pattern.len() => Ok(part + 2),
            Some(b'%') => Err(Stop::Malformed("malformed pattern (ends with '%')")),
            Some(b'[') => {
                let mut at = part + 1;
                if pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                let first = at;
                loop {
                    match pattern.get(at) {
                        None => return Err(Stop::Malformed("malformed pattern (missing ']')")),
                        Some(b']') if at > first => return Ok(at + 1),
                        Some(b'%') => at += 2,
                        Some(_) => at += 1,
                    }
                }
            }
            _ => Ok(part + 1),
        }
    }

    /// Whether a byte of the subject fits the class of `pattern[part..end]`.
    fn matches_one(&mut self, at: usize, part: usize, end: usize) -> Result<bool, Stop> {
        self.step(end - part)?;
        let Some(&byte) = self.subject.get(at) else {
            return Ok(false);
        };
        Ok(match &self.pattern[part..end] {
            [b'.'] => true,
            [b'%', class] => class_has(*class, byte),
            set @ [b'[', ..] => set_has(set, byte),
            one => one.first() == Some(&byte),
        })
    }
}

/// Whether a byte is of `[set]`, brackets included.
fn set_has(set: &[u8], byte: u8) -> bool {
    let inner = set.get(1..set.len() - 1).unwrap_or_default();
    let (wanted, mut rest) = match inner.strip_prefix(b"^") {
        Some(rest) => (false, rest),
        None => (true, inner),
    };
    loop {
        let (found, following) = match rest {
            [] => return !wanted,
            [b'%', class, following @ ..] => (class_has(*class, byte), following),
            [low, b'-', high, following @ ..] => ((*low..=*high).contains(&byte), following),
            [one, following @ ..] => (*one == byte, following),
        };
        if found {
            return wanted;
        }
        rest = following;
    }
}

/// Whether a byte is of `%class`; a class in upper case is the others.
fn class_has(class: u8, byte: u8) -> bool {
    let has = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    has != class.is_ascii_uppercase()
}

#[cfg(test)]
mod tests;
