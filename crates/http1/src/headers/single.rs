//! Headers that a request has once.

use super::{Index, Place};
use crate::{Error, Known};

/// Names without a number that a request may have once.
const SINGLE: [&[u8]; 6] = [
    b"content-range",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
];

impl Index {
    /// Refuses a second line of a header that decides something and has one value: of two, readers may take different ones.
    ///
    /// Compat: the names are those that nginx takes once (`refuses_a_second_line_of_what_has_one_value`).
    pub(crate) fn check_single(&self, input: &[u8]) -> Result<(), Error> {
        if self.repeated & (Known::Authorization.bit() | Known::Expect.bit()) != 0 {
            return Err(Error::Repeated);
        }
        let mut seen = 0_u8;
        // Perf: the length alone tells nearly all other lines apart.
        let others = self
            .lines
            .iter()
            .filter(|line| line.known == Known::Other && matches!(line.name_len, 8 | 13 | 17 | 19));
        for line in others {
            let buffer = match line.place {
                Place::Received => input,
                Place::Edited => &self.edits,
                Place::Removed => continue,
            };
            let start = line.start as usize;
            let name = buffer.get(start..start + usize::from(line.name_len));
            let name = name.unwrap_or_default();
            let mut singles = SINGLE.iter();
            if let Some(at) = singles.position(|single| single.eq_ignore_ascii_case(name)) {
                if seen & 1 << at != 0 {
                    return Err(Error::Repeated);
                }
                seen |= 1 << at;
            }
        }
        Ok(())
    }
}
