//! QR codes as SVG.

use domain::kernel::{Error, Result};
use qrcode::QrCode;
use qrcode::render::svg;

/// Side of the drawing at least, in its own units.
const SIDE: u32 = 240;

/// Draws a text as a QR code, black on white with its quiet zone.
///
/// # Errors
/// [`Error::Internal`] for a text that is too long for a QR code.
pub fn svg(text: &str) -> Result<String> {
    let code = QrCode::new(text).map_err(|e| Error::internal(format!("a QR code: {e}")))?;
    Ok(code.render::<svg::Color<'_>>().min_dimensions(SIDE, SIDE).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_a_square_and_refuses_what_no_code_holds() {
        let drawn = svg("otpauth://totp/Strongroom:dana%40example.com?secret=GEZDGNBV&issuer=Strongroom").unwrap();
        assert!(drawn.contains("<svg ") && drawn.ends_with("</svg>"));
        assert!(svg(&"x".repeat(8_000)).is_err());
    }
}
