//! `conformance/statements.toml`: as much of TOML as it needs, and no more.
//!
//! ```toml
//! ["5.0"."MQTT-3.1.2-4"]
//! binds = "broker"             # left out: both ends
//! broker = ["karere-broker::broker session::clean_start_ends_the_session_that_was"]
//! not_ours = "because ..."     # for an end without tests, or `open = true`
//! ```

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Broker,
    Client,
}

impl Role {
    pub(super) const ALL: [Role; 2] = [Role::Broker, Role::Client];

    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Broker => "broker",
            Role::Client => "client",
        }
    }

    fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// What is known of one statement. Lines are numbered from 1.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) standard: String,
    pub(super) id: String,
    pub(super) line: usize,
    binds: Option<Role>,
    broker: Vec<(usize, String)>,
    client: Vec<(usize, String)>,
    pub(super) not_ours: Option<String>,
    pub(super) open: bool,
}

impl Statement {
    /// Whether it is a rule for this end.
    pub(super) fn binds(&self, role: Role) -> bool {
        self.binds.is_none_or(|only| only == role)
    }

    /// The lines and names of the tests that show it for this end.
    pub(super) fn shown_for(&self, role: Role) -> &[(usize, String)] {
        match role {
            Role::Broker => &self.broker,
            Role::Client => &self.client,
        }
    }

    pub(super) fn tests(&self) -> impl Iterator<Item = &(usize, String)> {
        self.broker.iter().chain(&self.client)
    }

    fn set(&mut self, key: &str, value: Value) -> Result<(), String> {
        match (key, value) {
            ("open", Value::True) => self.open = true,
            ("not_ours", Value::Text(why)) if why.starts_with("because ") => self.not_ours = Some(why),
            ("not_ours", _) => return Err("not_ours = \"because ...\"".to_owned()),
            ("binds", Value::Text(name)) => {
                self.binds = Some(Role::named(&name).ok_or("binds = \"broker\" or \"client\"")?);
            }
            ("broker", Value::List(tests)) => self.broker = tests,
            ("client", Value::List(tests)) => self.client = tests,
            (key, _) => return Err(format!("what does {key} mean here?")),
        }
        Ok(())
    }
}

enum Value {
    True,
    Text(String),
    List(Vec<(usize, String)>),
}

/// All statements; or the line that is none of this, and why.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, (usize, String)> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut lines = text.lines().map(str::trim).zip(1_usize..);
    while let Some((line, number)) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((standard, id)) = header(line) {
            statements.push(Statement { standard, id, line: number, ..Statement::default() });
            continue;
        }
        let wrong = |what: &str| (number, what.to_owned());
        let (key, value) = line.split_once('=').ok_or_else(|| wrong("neither a statement nor a value"))?;
        let value = match value.trim() {
            "true" => Value::True,
            "[" => Value::List(list(&mut lines)?),
            value if value.starts_with('[') => {
                let inside = value[1..].strip_suffix(']').ok_or_else(|| wrong("a list that does not end"))?;
                Value::List(strings(inside, number).ok_or_else(|| wrong("a list of strings is wanted"))?)
            }
            value => Value::Text(string(value).ok_or_else(|| wrong("a string is wanted"))?),
        };
        let statement = statements.last_mut().ok_or_else(|| wrong("a value before any statement"))?;
        statement.set(key.trim(), value).map_err(|what| (number, what))?;
    }
    Ok(statements)
}

/// `["5.0"."MQTT-1.5.4-1"]`.
fn header(line: &str) -> Option<(String, String)> {
    let (standard, id) = line.strip_prefix("[\"")?.strip_suffix("\"]")?.split_once("\".\"")?;
    Some((standard.to_owned(), id.to_owned()))
}

/// The strings of a list, one a line, up to the line that closes it.
fn list<'a>(
    lines: &mut impl Iterator<Item = (&'a str, usize)>,
) -> Result<Vec<(usize, String)>, (usize, String)> {
    let mut found = Vec::new();
    let mut last = 0;
    for (line, number) in lines {
        if line == "]" {
            return Ok(found);
        }
        let one = string(line.trim_end_matches(',')).ok_or((number, "a string is wanted".to_owned()))?;
        found.push((number, one));
        last = number;
    }
    Err((last, "a list that does not end".to_owned()))
}

fn strings(list: &str, number: usize) -> Option<Vec<(usize, String)>> {
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| string(part).map(|one| (number, one))).collect()
}

fn string(value: &str) -> Option<String> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    (!inside.contains(['"', '\\'])).then(|| inside.to_owned())
}
