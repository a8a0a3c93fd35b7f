//! How values that are written as text are read, shown and described in the schema.

/// Lets a type with `FromStr` and `Display` stand in the configuration as a text.
macro_rules! written_as_text {
    ($type:ty, $error:ty) => {
        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    };
}

pub(super) use written_as_text;

/// `text` as it may stand in a message: short, and without characters that change a terminal.
pub(super) fn shown(text: &str) -> String {
    text.escape_debug().take(80).collect()
}
