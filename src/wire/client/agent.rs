//! The products that a `User-Agent` names.

use http::HeaderMap;
use http::header::USER_AGENT;

/// The names of the products in a `User-Agent` (RFC 9110 §10.1.5), without their versions:
/// `Boto3`, `md`, `ua`, ... Comments come out as odd names that match nothing.
pub(super) struct Agent<'a> {
    products: [&'a [u8]; PRODUCTS_MAX],
}

impl<'a> Agent<'a> {
    /// Reads the field; nothing where it is absent.
    pub(super) fn read(headers: &'a HeaderMap) -> Self {
        let mut products: [&[u8]; PRODUCTS_MAX] = [b""; PRODUCTS_MAX];
        let field = headers.get(USER_AGENT).map_or(b"".as_slice(), |value| value.as_bytes());
        let field = field.get(..FIELD_BYTES_MAX).unwrap_or(field);
        let tokens = field.split(|&byte| byte == b' ').filter(|token| !token.is_empty());
        for (product, token) in products.iter_mut().zip(tokens) {
            *product = token.split(|&byte| byte == b'/').next().unwrap_or_default();
        }
        Self { products }
    }

    /// Whether a product has exactly this name.
    pub(super) fn names(&self, name: &str) -> bool {
        self.products.contains(&name.as_bytes())
    }

    /// Whether the name of a product begins so.
    pub(super) fn names_prefix(&self, prefix: &str) -> bool {
        self.products.iter().any(|product| product.starts_with(prefix.as_bytes()))
    }
}

/// SDKs name themselves first or last of a dozen.
const PRODUCTS_MAX: usize = 16;
/// Longer ones are read this far.
const FIELD_BYTES_MAX: usize = 512;
