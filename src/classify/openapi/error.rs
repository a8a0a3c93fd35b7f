//! Why an OpenAPI document cannot be used.

use std::fmt;

use crate::wire::PathFault;

/// Why an OpenAPI document cannot be used. The messages say where: the path, and the method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenApiError {
    /// Longer than we read.
    #[error("the document has {bytes} bytes, and at most {max} are read", max = super::DOCUMENT_BYTES_MAX)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Neither JSON nor YAML, or not of the shape of an OpenAPI document.
    #[error("the document cannot be read as {format}: {detail}")]
    Syntax {
        /// `JSON` or `YAML`.
        format: &'static str,
        /// What is wrong, with line and column.
        detail: String,
    },
    /// Another version.
    #[error("the document says it is version `{0}`; accepted are OpenAPI 3.0, 3.1 and 3.2 (`openapi: 3.1.0`)")]
    Version(String),
    /// No version.
    #[error("the document does not say its version; OpenAPI documents begin with a line like `openapi: 3.1.0`")]
    NoVersion,
    /// Nothing in it.
    #[error("the document describes no operation under `paths`; every call would be unclassified")]
    NoOperations,
    /// More than we take.
    #[error("the document describes more than {max} operations", max = super::OPERATIONS_MAX)]
    TooManyOperations,
    /// A path that cannot be matched.
    #[error("the path `{path}` {fault}")]
    Template {
        /// The path as the document has it.
        path: String,
        /// What is wrong with it.
        fault: TemplateFault,
    },
    /// Two paths that differ in the names of their parameters only.
    #[error("the paths `{first}` and `{second}` match the same calls; describe their operations under one path")]
    SamePath {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// A server whose base path is not known.
    #[error("the server `{url}` of {at} {why}")]
    Server {
        /// `the document`, a path, or a method and a path.
        at: String,
        /// Its URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A `$ref` that leads nowhere.
    #[error("the path `{path}` refers to `{reference}`, which {why}")]
    Reference {
        /// The path.
        path: String,
        /// What it refers to.
        reference: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An operation id that cannot be part of a name.
    #[error("the `operationId` `{id}` of {at} cannot be used; it must be 1 to {max} visible characters", max = super::ID_CHARS_MAX)]
    OperationId {
        /// Method and path.
        at: String,
        /// The id, with everything odd escaped.
        id: String,
    },
    /// One operation id twice.
    #[error("the `operationId` `{id}` is used by both {first} and {second}; every operation needs its own")]
    DuplicateId {
        /// The id.
        id: String,
        /// Method and path of the one.
        first: String,
        /// Method and path of the other.
        second: String,
    },
    /// A word that is no kind.
    #[error("the `x-holdpoint-kind` of {at} is `{given}`; accepted are {}", super::kind::words())]
    UnknownKind {
        /// Method and path.
        at: String,
        /// The word.
        given: String,
    },
    /// An extension of ours that does not exist, or not there.
    #[error(
        "`{name}` of {at} is not known here; operations may have `x-holdpoint-kind` and `x-holdpoint-irreversible`"
    )]
    UnknownExtension {
        /// `the document`, a path, or a method and a path.
        at: String,
        /// The extension.
        name: String,
    },
    /// A kind for an operation that does not exist.
    #[error("a kind is configured for the operation `{id}`, which the document does not describe; it has {known}")]
    UnknownOperation {
        /// The configured id.
        id: String,
        /// Some that exist.
        known: String,
    },
}

/// Why a path of the document cannot be matched. The words follow "the path `…`".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateFault {
    /// It does not begin with `/`.
    NoSlash,
    /// It holds a query or a fragment.
    Query,
    /// Braces that do not pair up, or nothing between them.
    Braces,
    /// `{path+}` or `{path*}`.
    Greedy(String),
    /// `{a}{b}`.
    Adjacent,
    /// More segments than we match.
    Deep,
    /// No call can have it, because such paths are refused.
    Unreachable(PathFault),
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => f.write_str("does not begin with `/`"),
            Self::Query => f.write_str("holds a `?` or `#`; operations are told apart by method and path only"),
            Self::Braces => f.write_str("has braces that do not enclose a name; write parameters like `{id}`"),
            Self::Greedy(name) => {
                write!(f, "has the parameter `{{{name}}}`, which would match several segments; a parameter matches one")
            }
            Self::Adjacent => f.write_str("has two parameters side by side; put some text between them"),
            Self::Deep => write!(f, "has more than {} segments", super::SEGMENTS_MAX),
            Self::Unreachable(fault) => write!(f, "can never be called, because it {fault}"),
        }
    }
}
