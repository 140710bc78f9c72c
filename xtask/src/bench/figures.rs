//! From the generator's lines to a table.

use std::fmt::Write as _;

use super::scenario::{Kind, Scenario};
use super::server::Broker;

/// One run.
pub(super) struct Measured {
    pub(super) broker: Broker,
    pub(super) scenario: String,
    pub(super) round: usize,
    pub(super) line: Option<String>, // what the generator printed; None: it stalled
}

/// The number that stands behind `key` in a flat object.
pub(super) fn number(line: &str, key: &str) -> Option<f64> {
    let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
    rest.split([',', '}']).next()?.trim().parse().ok()
}

pub(super) fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    match all.len() {
        0 => None,
        even if even % 2 == 0 => Some((all[middle - 1] + all[middle]) / 2.0),
        _ => Some(all[middle]),
    }
}

/// The runs of one broker in one scenario.
struct Runs<'a> {
    lines: Vec<&'a str>,
    stalled: usize,
}

impl<'a> Runs<'a> {
    fn of(all: &'a [Measured], broker: Broker, scenario: &str) -> Self {
        let mine = all.iter().filter(|run| run.broker == broker && run.scenario == scenario);
        let lines: Vec<&str> = mine.clone().filter_map(|run| run.line.as_deref()).collect();
        Self { stalled: mine.count() - lines.len(), lines }
    }

    fn median(&self, key: &str) -> Option<f64> {
        median(self.lines.iter().filter_map(|line| number(line, key)).filter(|n| n.is_finite()).collect())
    }

    fn sum(&self, key: &str) -> f64 {
        self.lines.iter().filter_map(|line| number(line, key)).fold(0.0, |sum, value| sum + value)
    }

    /// Nothing, where nothing was delivered: that costs 0 a message.
    fn cpu(&self) -> Option<f64> {
        self.median("broker_cpu_s_per_m").filter(|cpu| *cpu > 0.0)
    }
}

/// The medians, one line for each scenario and broker.
pub(super) fn table(scenarios: &[Scenario], brokers: &[Broker], all: &[Measured]) -> String {
    let heads = ["CPU us", "x floor", "x mosq.", "per s", "p50 us", "p99 us", "others", "lost", "disorder"];
    let mut text = row("", "", &heads.map(str::to_owned), "");
    for scenario in scenarios {
        let floor = Runs::of(all, Broker::Floor, &scenario.name).cpu();
        let mosquitto = Runs::of(all, Broker::Mosquitto, &scenario.name).cpu();
        for &broker in brokers {
            let runs = Runs::of(all, broker, &scenario.name);
            let ratio = |to: Option<f64>| Some(runs.cpu()? / to.filter(|to| *to > 0.0)?);
            let rate = runs.median("msgs_per_s").or(runs.median("connects_per_s"));
            let cells = [
                cell(runs.cpu(), 2),
                cell(ratio(floor), 1),
                cell(ratio(mosquitto), 2),
                cell(rate, 0),
                cell(runs.median("p50_us"), 0),
                cell(runs.median("p99_us"), 0),
                cell(runs.median("others_share").map(|share| share * 100.0), 0) + "%",
                format!("{:.0}", runs.sum("lost") + runs.sum("failed")),
                format!("{:.0}", runs.sum("order_breaks") + runs.sum("dup")),
            ];
            text += &row(&scenario.name, &broker.to_string(), &cells, &remark(scenario.kind, &runs));
        }
    }
    text + "CPU: of the broker, for each message delivered or connection made. others: of the machine, by anyone else.\n"
}

fn row(scenario: &str, broker: &str, cells: &[String], remark: &str) -> String {
    let mut line = format!("{scenario:<17}{broker:<12}");
    for cell in cells {
        let _ = write!(line, "{cell:>9}");
    }
    format!("{}\n", format!("{line}  {remark}").trim_end())
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// What has no column: memory, and runs that came to no end.
fn remark(kind: Kind, runs: &Runs<'_>) -> String {
    let bytes = |key: &str| cell(runs.median(key), 0);
    let mut text = match kind {
        Kind::Idle => format!(
            "{} bytes a connection, {} with a subscription",
            bytes("bytes_per_conn"),
            bytes("bytes_per_conn_with_sub")
        ),
        Kind::Scale => format!("{} bytes a subscription", bytes("bytes_per_sub")),
        Kind::Connect | Kind::Traffic => String::new(),
    };
    if runs.stalled > 0 {
        let _ = write!(text, " {} of {} runs stalled", runs.stalled, runs.stalled + runs.lines.len());
    }
    text.trim_start().to_owned()
}

/// Every run, as the generator reported it.
pub(super) fn json(all: &[Measured]) -> String {
    let runs: Vec<String> = all
        .iter()
        .map(|run| {
            let Measured { broker, scenario, round, line } = run;
            let line = line.as_deref().unwrap_or("null");
            format!(
                "{{\"broker\":\"{broker}\",\"scenario\":\"{scenario}\",\"round\":{round},\"result\":{line}}}"
            )
        })
        .collect();
    format!("[\n{}\n]\n", runs.join(",\n"))
}

/// Our broker must have run, and lost nothing, doubled nothing and kept the order.
///
/// # Errors
/// The runs in which it did not.
pub(super) fn verdict(all: &[Measured]) -> Result<(), String> {
    let ours = all.iter().filter(|run| run.broker == Broker::Karere);
    let bad: Vec<String> = ours
        .filter_map(|run| Some(format!("{}, round {}: {}", run.scenario, run.round, fault(run)?)))
        .collect();
    match (bad.is_empty(), all.iter().any(|run| run.broker == Broker::Karere)) {
        (true, true) => Ok(()),
        (true, false) => Err("bench: our broker did not run".to_owned()),
        (false, _) => Err(format!("bench: our broker failed\n{}", bad.join("\n"))),
    }
}

fn fault(run: &Measured) -> Option<String> {
    let Some(line) = &run.line else { return Some("it stalled, or refused the generator".to_owned()) };
    let count = |key: &str| number(line, key).unwrap_or(0.0);
    let faults = ["lost", "extra", "dup", "order_breaks", "closed", "failed"];
    let found: Vec<String> =
        faults.iter().filter(|key| count(key) > 0.0).map(|key| format!("{} {key}", count(key))).collect();
    if !found.is_empty() {
        return Some(found.join(", "));
    }
    let nothing = number(line, "received").is_some_and(|received| received == 0.0);
    (nothing || line.contains("\"ok\":false"))
        .then(|| "not everything was received and acknowledged".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(broker: Broker, line: Option<&str>) -> Measured {
        Measured { broker, scenario: "single q0 16".to_owned(), round: 1, line: line.map(str::to_owned) }
    }

    #[test]
    fn numbers_are_found_by_their_whole_key() {
        let line = r#"{"order_breaks":3,"lost":0,"msgs_per_s":12.5}"#;
        assert_eq!(number(line, "msgs_per_s"), Some(12.5));
        assert_eq!(number(line, "breaks"), None);
    }

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_loss_of_ours_is_an_error_and_a_loss_of_theirs_is_not() {
        let good = r#"{"received":5,"lost":0,"order_breaks":0,"ok":true}"#;
        let bad = r#"{"received":5,"lost":2,"order_breaks":1,"ok":false}"#;
        assert_eq!(verdict(&[run(Broker::Karere, Some(good)), run(Broker::Rumqttd, Some(bad))]), Ok(()));
        let error = verdict(&[run(Broker::Karere, Some(bad))]).expect_err("a loss");
        assert!(error.contains("single q0 16, round 1: 2 lost, 1 order_breaks"), "{error}");
    }

    #[test]
    fn a_peer_that_delivered_nothing_has_no_cost_a_message() {
        let line = r#"{"received":0,"msgs_per_s":NaN,"lost":300,"broker_cpu_s_per_m":0.000}"#;
        let all = [run(Broker::Rumqttd, Some(line))];
        let runs = Runs::of(&all, Broker::Rumqttd, "single q0 16");
        assert_eq!((runs.cpu(), runs.median("msgs_per_s")), (None, None));
    }

    #[test]
    fn a_run_that_received_nothing_or_never_was_is_an_error() {
        let nothing = r#"{"received":0,"lost":0,"ok":true}"#;
        assert!(verdict(&[run(Broker::Karere, Some(nothing))]).is_err());
        assert!(verdict(&[run(Broker::Karere, None)]).is_err());
        assert!(verdict(&[run(Broker::Floor, Some(nothing))]).is_err());
    }

    #[test]
    fn the_table_holds_ratios_of_medians() {
        let line = |cpu: &str| format!(r#"{{"msgs_per_s":10,"lost":0,"broker_cpu_s_per_m":{cpu}}}"#);
        let (ours, floor) = (line("0.6"), line("0.2"));
        let all = [run(Broker::Karere, Some(&ours)), run(Broker::Floor, Some(&floor))];
        let scenarios: Vec<Scenario> = super::super::scenario::all().into_iter().take(1).collect();
        let text = table(&scenarios, &[Broker::Karere, Broker::Floor], &all);
        let words: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(&words[..6], ["single", "q0", "16", "karere", "0.60", "3.0"]);
    }
}
