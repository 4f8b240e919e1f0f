//! Whether a JPEG file is all there: decoders fill what is missing with grey and say nothing.

const END_OF_IMAGE: u8 = 0xD9;

/// Whether the file goes on to its end mark. What stands in segments, such as a preview, does not count.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut at = 2; // behind the mark of the beginning
    while let Some((marker, behind)) = next_marker(bytes, at) {
        match marker {
            END_OF_IMAGE => return true,
            // Marks without a segment: stuffing, restarts, another beginning.
            0x00 | 0x01 | 0xD0..=0xD8 => at = behind,
            _ => match bytes.get(behind..behind + 2) {
                Some(&[high, low]) => at = behind + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
    false
}

/// The next mark from `at` on, and where it ends. Between scans there is nothing but marks; in them, bytes.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = bytes.get(at..)?;
    let prefix = at + rest.iter().position(|&byte| byte == 0xFF)?;
    let filled = bytes[prefix..].iter().position(|&byte| byte != 0xFF)?;
    Some((bytes[prefix + filled], prefix + filled + 1))
}
