//! Texts of a fixed number of hexadecimal digits.

/// The reason why a text is not such a number.
pub(crate) enum HexError {
    TooShort { length: usize },
    TooLong { length: usize },
    NotHex { at: usize, found: char },
}

/// Returns the number with exactly `digits` hexadecimal digits, at most 32.
pub(crate) fn parse(text: &str, digits: usize) -> Result<u128, HexError> {
    let mut number = 0;
    // `from_str_radix` would accept a sign, and fewer digits.
    for (at, found) in text.chars().enumerate() {
        if at == digits {
            return Err(HexError::TooLong { length: text.chars().count() });
        }
        let digit = found.to_digit(16).ok_or(HexError::NotHex { at, found })?;
        number = number << 4 | u128::from(digit);
    }
    match text.len() {
        length if length == digits => Ok(number),
        length => Err(HexError::TooShort { length }),
    }
}
