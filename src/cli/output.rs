//! What reaches the terminal: data on stdout, talk on stderr, text from files escaped.
#![expect(clippy::print_stderr, reason = "the program's own mouth")]

use std::fmt::Write as _;
use std::io::Write as _;

use unet_vol::{Error, ErrorKind, Result, Warning};

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// Control characters made visible, so that text from a file cannot drive the terminal.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// One line of data; a closed pipe ends the program quietly.
pub(crate) fn data(line: impl AsRef<str>) {
    if writeln!(std::io::stdout(), "{}", line.as_ref()).is_err() {
        std::process::exit(0);
    }
}

/// A value as pretty JSON on stdout.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::new(ErrorKind::Internal, "the result has no JSON form").because(e))?;
    data(text);
    Ok(())
}

/// One line of talk.
pub(crate) fn say(verbosity: Verbosity, line: impl AsRef<str>) {
    if verbosity >= Verbosity::Normal {
        eprintln!("{}", line.as_ref());
    }
}

/// The error, its causes in one sentence, and the hint on a line of its own.
pub(crate) fn error(error: &Error) {
    // Lists of series come in lines.
    let lines: Vec<_> = error.to_string().lines().map(escaped).collect();
    eprintln!("error: {}", lines.join("\n"));
    if let Some(hint) = error.advice() {
        eprintln!("hint: {}", escaped(hint));
    }
}

/// Codes of warnings that are mere notes: which engine was chosen and what a faster one would need.
const NOTES: [&str; 2] = ["engine", "faster-engine"];

/// Warnings, one line each, and notes where the user asks for more; all of them stand in the manifest.
pub(crate) fn warnings(verbosity: Verbosity, warnings: &[Warning]) {
    for warning in warnings {
        let note = NOTES.contains(&warning.code);
        if !note || verbosity == Verbosity::Verbose {
            let word = if note { "note" } else { "warning" };
            say(verbosity, format!("{word}: {}", escaped(&warning.message)));
        }
    }
}

/// Columns padded to the widest cell, two blanks apart; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.pop();
    out
}

/// Bytes in the unit a person would use.
pub(crate) fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    let count = count as f64;
    match count {
        c if c >= 1e9 => format!("{:.2} GB", c / 1e9),
        c if c >= 1e6 => format!("{:.0} MB", c / 1e6),
        c => format!("{:.0} kB", (c / 1e3).ceil()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(super::escaped("T1\u{1b}[31m\n"), "T1\\u{1b}[31m\\n");
        assert_eq!(super::escaped("plain ä"), "plain ä");
    }

    #[test]
    fn a_table_is_aligned_without_trailing_blanks() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
        assert_eq!(super::table(&rows), "a     b\nlong  c");
    }
}
