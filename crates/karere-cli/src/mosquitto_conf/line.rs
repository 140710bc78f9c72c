//! The file as lines: a name and a value each, and where they stand.

use std::fmt;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::rc::Rc;

use karere_core::codec::QoS;

/// Where a line stands; shown as `file:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    file: Rc<str>,
    line: usize,
}

/// A line that says something.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) place: Place,
    pub(super) name: &'a str,
    pub(super) value: Value<'a>,
}

/// What stands behind an option's name, without the blanks around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a>(&'a str);

/// The lines of `text`, but for blank ones and comments. mosquitto wants a comment's `#` in the first column and a space
/// behind a name; nothing is misread by taking any blanks.
pub(super) fn lines<'a>(file: &str, text: &'a str) -> impl Iterator<Item = Line<'a>> + use<'a> {
    let file: Rc<str> = file.into();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = (1..).zip(text.lines().map(str::trim));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(move |(number, line)| {
        let (name, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        Line { place: Place { file: file.clone(), line: number }, name, value: Value(value.trim()) }
    })
}

/// The configuration files of a folder, in mosquitto's order: by letter, and of a letter the capital first.
///
/// # Errors
/// When there is no such folder.
pub(super) fn files(folder: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".conf") {
            names.push(name);
        }
    }
    names.sort_by_cached_key(|name| {
        name.bytes().map(|byte| (byte.to_ascii_lowercase(), byte)).collect::<Vec<_>>()
    });
    Ok(names.iter().map(|name| Path::new(folder).join(name).display().to_string()).collect())
}

impl<'a> Value<'a> {
    /// All of it, also with blanks within.
    pub(super) fn text(self) -> Result<&'a str, String> {
        if self.0.is_empty() { Err("has no value".into()) } else { Ok(self.0) }
    }

    /// Its words up to a comment.
    pub(super) fn words(self) -> Vec<&'a str> {
        self.0.split_whitespace().take_while(|word| !word.starts_with('#')).collect()
    }

    /// Its only word.
    pub(super) fn word(self) -> Result<&'a str, String> {
        match self.words()[..] {
            [] => Err("has no value".into()),
            [word] => Ok(word),
            _ => Err(format!("`{}` is more than one value", self.0)),
        }
    }

    pub(super) fn flag(self) -> Result<bool, String> {
        match self.word()? {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(format!("`{other}` is neither true nor false")),
        }
    }

    /// A number in `range`.
    pub(super) fn number(self, range: RangeInclusive<i64>) -> Result<i64, String> {
        let word = self.word()?;
        let number = word.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("`{word}` is no number from {} to {}", range.start(), range.end()))
    }

    /// How much of something there may be; `None` where mosquitto sets no limit, at 0 and below.
    pub(super) fn limit(self) -> Result<Option<usize>, String> {
        let number = self.number(i64::from(i32::MIN)..=i64::MAX)?;
        Ok(usize::try_from(number).ok().filter(|limit| *limit > 0))
    }

    pub(super) fn qos(self) -> Result<QoS, String> {
        let number = u8::try_from(self.number(0..=2)?).unwrap_or_default();
        Ok(QoS::from_bits(number).unwrap_or_default())
    }

    /// A number and `h`, `d`, `w`, `m` or `y`, in seconds; a month has 30 days and a year 365.
    pub(super) fn seconds(self) -> Result<u32, String> {
        const HOUR: u64 = 3600;
        let word = self.word()?;
        let split = word.split_at_checked(word.len().saturating_sub(1));
        let unit = match split {
            Some((_, "h")) => HOUR,
            Some((_, "d")) => 24 * HOUR,
            Some((_, "w")) => 7 * 24 * HOUR,
            Some((_, "m")) => 30 * 24 * HOUR,
            Some((_, "y")) => 365 * 24 * HOUR,
            _ => 0,
        };
        let count = split.and_then(|(count, _)| count.parse::<u32>().ok()).unwrap_or(0);
        match u64::from(count) * unit {
            0 => Err(format!("`{word}` is no time such as 12h, 14d, 2w, 6m or 1y")),
            seconds => Ok(u32::try_from(seconds).unwrap_or(u32::MAX)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
