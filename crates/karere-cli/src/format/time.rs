//! The time at which a message is shown, as `strftime` writes it in the C locale.

use jiff::Zoned;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};

/// The clock, read once a message and only when the format asks for it.
#[derive(Debug)]
pub(super) struct Now(Option<Zoned>);

impl Now {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    #[cfg(test)]
    pub(super) const fn at(time: Zoned) -> Self {
        Self(Some(time))
    }

    /// What `strftime` makes of `%` and `directive`; one that it does not know stays as it is.
    pub(super) fn strftime(&mut self, directive: char) -> String {
        let format = format!("%{directive}");
        match directive {
            // Directives of jiff's own, which strftime has not.
            'f' | 'q' | 'Q' => format,
            _ => formatted(self.get(), &format).unwrap_or(format),
        }
    }

    /// `2016-08-10T09:47:38+0100`
    pub(super) fn iso_8601(&mut self) -> String {
        formatted(self.get(), "%Y-%m-%dT%H:%M:%S%z").unwrap_or_default()
    }

    /// `2016-08-10T09:47:38.786368Z+0100`: mosquitto has that Z, and who reads its output expects it.
    pub(super) fn json_timestamp(&mut self) -> String {
        formatted(self.get(), "%Y-%m-%dT%H:%M:%S.%6fZ%z").unwrap_or_default()
    }

    /// `1470818943.786368637`
    pub(super) fn unix(&mut self) -> String {
        let time = self.get().timestamp();
        format!("{}.{:09}", time.as_second(), time.subsec_nanosecond())
    }

    /// The nanoseconds of the current second, nine digits.
    pub(super) fn nanoseconds(&mut self) -> String {
        format!("{:09}", self.get().subsec_nanosecond())
    }

    fn get(&mut self) -> &Zoned {
        self.0.get_or_insert_with(Zoned::now)
    }
}

/// `None` when a directive is not known.
fn formatted(time: &Zoned, format: &str) -> Option<String> {
    let config = Config::new().custom(PosixCustom::new());
    BrokenDownTime::from(time).to_string_with_config(&config, format).ok()
}
