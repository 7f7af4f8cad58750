//! Errors and warnings: one sentence each, with the path, what is wrong and what to do.
//!
//! An [`Error`] is opaque but for its [`ErrorKind`], which says who is at fault and fixes the exit code of the
//! command line program. The text of a message is not part of the API.

use std::fmt;
use std::path::{Path, PathBuf};

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who is at fault. Each kind has one documented exit code (see `unet-vol --help`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A defect of this program, or a failed certificate (exit code 1).
    Internal,
    /// The call: options that do not go together, an output that exists already (2).
    Usage,
    /// The input cannot be read or is malformed (3).
    Malformed,
    /// The input is valid but of a kind that is not supported (4).
    Unsupported,
    /// A model, its description or a runtime library (5).
    Model,
    /// A limit on memory or size would be exceeded (6).
    Limit,
    /// The output cannot be written (8).
    Output,
    /// The result holds no label and the caller asked for an error then (9).
    Empty,
    /// Stopped on request (130).
    Interrupted,
}

#[derive(Debug, thiserror::Error)]
#[error("{}{message}{}", before(.path.as_deref()), after(.source.as_deref()))]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    hint: Option<String>,
    io: Option<std::io::ErrorKind>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

fn before(path: Option<&Path>) -> String {
    path.map(|path| format!("{}: ", path.display())).unwrap_or_default()
}

fn after(source: Option<&(dyn std::error::Error + Send + Sync + 'static)>) -> String {
    source.map(|source| format!(": {source}")).unwrap_or_default()
}

/// What went wrong: a kind, a sentence, the path it concerns and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

impl Error {
    /// A new error of `kind` with one sentence that says what is wrong.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), path: None, hint: None, io: None, source: None }))
    }

    /// [`ErrorKind::Internal`] with a message.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// [`ErrorKind::Usage`] with a message.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// [`ErrorKind::Malformed`] with a message.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// [`ErrorKind::Unsupported`] with a message.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// [`ErrorKind::Model`] with a message.
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Model, message)
    }

    /// [`ErrorKind::Limit`] with a message.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// Names the file this is about; the first path named stays.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.0.path.get_or_insert_with(|| path.as_ref().to_owned());
        self
    }

    /// Says what to do: an option, a command, a tool.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says which kind of I/O error this is, for callers that treat a missing or an existing file by itself.
    #[must_use]
    pub fn io(mut self, kind: std::io::ErrorKind) -> Self {
        self.0.io = Some(kind);
        self
    }

    /// Keeps the error of a library below as the source.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Who is at fault.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is wrong, without path and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file this is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The kind of I/O error, where there was one: `NotFound` for a missing input, `AlreadyExists` for an output that
    /// must not be replaced.
    #[must_use]
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        self.0.io
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

/// Something the user should know although the work went on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// Stable name to filter by, such as `"no-orientation"`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

impl Warning {
    /// A warning with a stable `code` and one sentence.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_path_the_sentence_and_the_source() {
        let error = Error::malformed("the header is cut off")
            .at("a.nii")
            .at("b.nii")
            .hint("copy the file again")
            .because(std::io::Error::other("eof"));
        assert_eq!(error.to_string(), "a.nii: the header is cut off: eof");
        assert_eq!(error.advice(), Some("copy the file again"));
        assert_eq!(error.kind(), ErrorKind::Malformed);
    }
}
