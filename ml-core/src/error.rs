//! The one error type of the family.

use std::fmt;

/// What a caller can do something about.
///
/// Backends choose the kind honestly; hosts map it to HTTP or gRPC once.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The caller asked for the work to stop.
    Cancelled,
    /// The state moved since it was read, or the thing exists already.
    Conflict,
    /// Stored bytes are not what was written.
    Corrupt,
    /// An invariant of ours does not hold: a bug.
    Internal,
    /// The input is wrong; the same call will fail again.
    InvalidInput,
    /// The thing named is not there.
    NotFound,
    /// The caller may not do this.
    PermissionDenied,
    /// A limit of size or rate was passed.
    ResourceExhausted,
    /// The work did not end in time.
    Timeout,
    /// A resource is not there now and may be later.
    Unavailable,
    /// The backend does not offer this.
    Unsupported,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Conflict => "conflict",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
            Self::InvalidInput => "invalid input",
            Self::NotFound => "not found",
            Self::PermissionDenied => "permission denied",
            Self::ResourceExhausted => "resource exhausted",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
        })
    }
}

/// An error of any crate of the family: a kind to act on, the operation, a message, context and the source.
///
/// `Display` prints operation, message and context, never the source; walk
/// [`source`](std::error::Error::source) for the chain.
///
/// ```
/// use ml_core::{Error, ErrorKind};
///
/// let error = Error::conflict("alias moved since it was read").op("registry.set_alias").with("model", "fraud");
/// assert_eq!(error.kind(), ErrorKind::Conflict);
/// assert_eq!(error.to_string(), "registry.set_alias: alias moved since it was read (model: fraud)");
/// ```
pub struct Error(Box<Inner>);

/// Shorthand for results of this family.
pub type Result<T, E = Error> = std::result::Result<T, E>;

struct Inner {
    kind: ErrorKind,
    op: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error. The message starts in lower case and has no full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, op: "", message: message.into(), context: Vec::new(), source: None }))
    }

    /// Names the operation that failed, as `crate.operation`; the innermost name stays.
    #[must_use]
    pub fn op(mut self, op: &'static str) -> Self {
        if self.0.op.is_empty() {
            self.0.op = op;
        }
        self
    }

    /// Adds a fact about what was being worked on. Never a secret.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Keeps the foreign error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without operation and context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts added with [`Error::with`], oldest first.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::ResourceExhausted | ErrorKind::Timeout | ErrorKind::Unavailable)
    }
}

/// One constructor a kind, so that call sites read as a sentence.
macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl Error {
            $(
                #[doc = concat!("Makes an error of [`ErrorKind::", stringify!($kind), "`].")]
                #[must_use]
                pub fn $name(message: impl Into<String>) -> Self {
                    Self::new(ErrorKind::$kind, message)
                }
            )*
        }
    };
}

constructors! {
    cancelled => Cancelled,
    conflict => Conflict,
    corrupt => Corrupt,
    internal => Internal,
    invalid_input => InvalidInput,
    not_found => NotFound,
    permission_denied => PermissionDenied,
    resource_exhausted => ResourceExhausted,
    timeout => Timeout,
    unavailable => Unavailable,
    unsupported => Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.op.is_empty() {
            write!(f, "{}: ", self.0.op)?;
        }
        f.write_str(&self.0.message)?;
        for (i, (key, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{key}: {value}", if i == 0 { " (" } else { ", " })?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    /// Prints the whole chain, since `main` and `unwrap` show only this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {self}", self.0.kind)?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

const _: () = assert!(size_of::<Error>() == size_of::<usize>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_leaves_the_source_to_the_chain() {
        let error = Error::corrupt("manifest does not match").with("file", "model.onnx").with_source("sha256 differs");
        assert_eq!(error.to_string(), "manifest does not match (file: model.onnx)");
        assert_eq!(format!("{error:?}"), "[corrupt] manifest does not match (file: model.onnx): sha256 differs");
    }

    #[test]
    fn the_innermost_operation_stays() {
        let error = Error::internal("x").op("inner").op("outer");
        assert_eq!(error.to_string(), "inner: x");
    }
}
