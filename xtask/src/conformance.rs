//! `cargo xtask conformance`: every normative statement of the standards, and the tests that show it.
//!
//! The ids are data (`conformance/ids-*.txt`), what shows each of them is data too (`conformance/statements.toml`),
//! and [`findings`] holds the two against each other and against the tests that there are.

mod ids;
mod statements;
mod tests_there;

use std::collections::BTreeSet;
use std::path::Path;

use crate::tidy::Finding;
use crate::tidy::tree::{Source, Tree};
use ids::{Chapter, Standard};
use statements::{Role, Statement};

const STATEMENTS: &str = "conformance/statements.toml";

/// How many statements there are, and what is known of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    statements: usize,
    broker: usize,
    client: usize,
    not_ours: usize,
    open: usize,
}

/// Prints the table by chapter.
///
/// # Errors
/// When the files cannot be read, or are not what they should be.
pub(crate) fn conformance(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let all = read(&tree)?;
    let mut total = Count::default();
    for standard in ids::read(&tree) {
        println!("MQTT {}", standard.name);
        println!("{}", line("", &["statements", "broker", "client", "not ours", "open"].map(str::to_owned)));
        let mut sum = Count::default();
        for chapter in &standard.chapters {
            let count = count(&all, &standard, chapter);
            println!("{}", numbers(&format!("{} {}", chapter.number, chapter.title), count));
            sum = sum.plus(count);
        }
        println!("{}\n", numbers("all", sum));
        total = total.plus(sum);
    }
    println!("{}", numbers("both standards", total));
    Ok(())
}

/// What `tidy` says of it when there is nothing to mend: how much is open.
pub(crate) fn open(root: &Path) -> usize {
    let all = Tree::read(root).and_then(|tree| read(&tree));
    all.map_or(0, |all| all.iter().filter(|statement| statement.open).count())
}

/// Statements that nobody speaks of, and tests that do not exist.
pub(crate) fn findings(tree: &Tree) -> Vec<Finding> {
    let Some(source) = tree.get(STATEMENTS) else {
        let ids = tree.sources.iter().filter(|source| source.path.starts_with("conformance/ids-"));
        return ids.map(|ids| Finding::new(ids, 0, format!("{STATEMENTS} is missing"))).collect();
    };
    let (all, mut findings) = match statements::parse(&source.text) {
        Ok(all) => (all, Vec::new()),
        Err((line, what)) => return vec![Finding::new(source, line, what)],
    };
    let standards = ids::read(tree);
    findings.extend(missing(source, &standards, &all));
    let tests = tests_there::names(tree);
    let mut seen = BTreeSet::new();
    for statement in &all {
        let mut find = |line, what: String| findings.push(Finding::new(source, line, what));
        let Statement { standard, id, line, .. } = statement;
        if !standards.iter().any(|each| each.has(standard, id)) {
            find(*line, format!("{id}: MQTT {standard} has no such statement"));
        }
        if !seen.insert((standard, id)) {
            find(*line, format!("{id}: it stands here twice"));
        }
        contradictions(statement).into_iter().for_each(|what| find(*line, format!("{id}: {what}")));
        for (line, test) in statement.tests().filter(|(_, test)| !tests.contains(test.as_str())) {
            find(*line, format!("{id}: no such test: {test}"));
        }
    }
    findings
}

fn read(tree: &Tree) -> Result<Vec<Statement>, String> {
    let source = tree.get(STATEMENTS).ok_or_else(|| format!("{STATEMENTS}: not there"))?;
    statements::parse(&source.text).map_err(|(line, what)| format!("{STATEMENTS}:{line}: {what}"))
}

fn missing(source: &Source, standards: &[Standard], all: &[Statement]) -> Vec<Finding> {
    let there: BTreeSet<(&str, &str)> =
        all.iter().map(|each| (each.standard.as_str(), each.id.as_str())).collect();
    let mut findings = Vec::new();
    for standard in standards {
        let ids = standard.chapters.iter().flat_map(|chapter| &chapter.ids);
        for id in ids.filter(|id| !there.contains(&(standard.name.as_str(), id.as_str()))) {
            let what = format!("{id} of MQTT {} is missing", standard.name);
            findings.push(Finding::new(source, 0, what));
        }
    }
    findings
}

/// What a statement says of itself that cannot be.
fn contradictions(statement: &Statement) -> Vec<String> {
    let untold = |role: &&Role| statement.binds(**role) && statement.shown_for(**role).is_empty();
    let untold: Vec<&Role> = Role::ALL.iter().filter(untold).collect();
    let excused = statement.open || statement.not_ours.is_some();
    let mut found = Vec::new();
    if !excused {
        found.extend(untold.iter().map(|role| format!("nothing shows it for the {}", role.name())));
    } else if untold.is_empty() {
        found.push("shown, and yet open or not ours".to_owned());
    }
    if statement.open && statement.not_ours.is_some() {
        found.push("either open or not ours".to_owned());
    }
    for role in Role::ALL {
        if !statement.binds(role) && !statement.shown_for(role).is_empty() {
            found.push(format!("it does not bind the {}, and has tests for it", role.name()));
        }
    }
    found
}

fn count(all: &[Statement], standard: &Standard, chapter: &Chapter) -> Count {
    let of_it = |each: &&Statement| each.standard == standard.name && chapter.ids.contains(&each.id);
    let all: Vec<&Statement> = all.iter().filter(of_it).collect();
    let shown = |role| all.iter().filter(|each| !each.shown_for(role).is_empty()).count();
    Count {
        statements: chapter.ids.len(),
        broker: shown(Role::Broker),
        client: shown(Role::Client),
        not_ours: all.iter().filter(|each| each.not_ours.is_some()).count(),
        open: all.iter().filter(|each| each.open).count(),
    }
}

impl Count {
    fn plus(self, other: Count) -> Count {
        Count {
            statements: self.statements + other.statements,
            broker: self.broker + other.broker,
            client: self.client + other.client,
            not_ours: self.not_ours + other.not_ours,
            open: self.open + other.open,
        }
    }
}

fn numbers(title: &str, count: Count) -> String {
    let Count { statements, broker, client, not_ours, open } = count;
    line(title, &[statements, broker, client, not_ours, open].map(|number| number.to_string()))
}

fn line(title: &str, columns: &[String; 5]) -> String {
    let columns: String = columns.iter().map(|column| format!("{column:>12}")).collect();
    format!("  {title:<40}{columns}")
}

#[cfg(test)]
mod tests;
