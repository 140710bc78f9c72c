//! A program that runs beside the test.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take. Far more than it needs: only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

/// A child process whose output is gathered while it runs; killed when dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    stdout: Arc<Gathered>,
    stderr: Arc<Gathered>,
}

/// How a program ended and all that it printed.
pub(crate) struct Finished {
    pub(crate) name: String,
    /// None when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Running {
    /// Starts `command` without input.
    pub(crate) fn start(command: &mut Command) -> Running {
        Running::start_with(command, Vec::new())
    }

    /// Starts `command` and feeds it `input`.
    pub(crate) fn start_with(command: &mut Command, input: Vec<u8>) -> Running {
        let name = format!("{command:?}").replace('"', "");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let mut stdin = child.stdin.take().expect("piped");
        // A program that ends early closes its input: not the writer's concern.
        thread::spawn(move || stdin.write_all(&input));
        let stdout = Gathered::from(child.stdout.take().expect("piped"));
        let stderr = Gathered::from(child.stderr.take().expect("piped"));
        Running { name, child, stdout, stderr }
    }

    /// Waits until what it printed to stdout satisfies `enough`, which returns what the caller wants from it.
    pub(crate) fn wait_until<T>(&self, what: &str, enough: impl Fn(&str) -> Option<T>) -> T {
        match self.stdout.wait_until(&enough) {
            Some(found) => found,
            None => panic!("waited for {what} from {}\n{}", self.name, self.story()),
        }
    }

    /// Waits for a line of stdout that contains `part`, and returns it.
    pub(crate) fn wait_for_line(&self, part: &str) -> String {
        self.wait_until(&format!("a line with {part:?}"), |text| line_with(text, part))
    }

    /// Waits for a line of stderr that contains `part`.
    pub(crate) fn wait_for_complaint(&self, part: &str) {
        let found = self.stderr.wait_until(&|text: &str| line_with(text, part));
        assert!(found.is_some(), "waited for {part:?} from {}\n{}", self.name, self.story());
    }

    pub(crate) fn has_exited(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Asks it to end, as a person or a service manager does: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot send {name} to {}", self.name);
    }

    /// `kill -9`: the connection ends without a word.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        let status = retry(|| self.child.try_wait().expect("our own child"));
        let Some(status) = status else { panic!("{} does not end\n{}", self.name, self.story()) };
        self.stdout.wait_for_end();
        self.stderr.wait_for_end();
        let stderr = String::from_utf8_lossy(&self.stderr.bytes()).into_owned();
        Finished { name: self.name.clone(), code: status.code(), stdout: self.stdout.bytes(), stderr }
    }

    fn story(&self) -> String {
        let [out, err] = [&self.stdout, &self.stderr].map(|gathered| gathered.bytes());
        let [out, err] = [out, err].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        format!("--- stdout\n{out}\n--- stderr\n{err}\n---")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Its stdout, once it has ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> String {
        let text = self.text();
        assert_eq!(
            self.code,
            Some(code),
            "{}\n--- stdout\n{text}\n--- stderr\n{}\n---",
            self.name,
            self.stderr
        );
        text
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Tries until there is something, or the deadline has passed. For what cannot be waited for otherwise.
pub(crate) fn retry<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        if let Some(found) = attempt() {
            return Some(found);
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

fn line_with(text: &str, part: &str) -> Option<String> {
    // The last line may still be growing.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().find(|line| line.contains(part)).map(str::to_owned)
}

/// What came out of a pipe so far.
#[derive(Default)]
struct Gathered {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

impl Gathered {
    fn from(mut pipe: impl Read + Send + 'static) -> Arc<Gathered> {
        let gathered = Arc::new(Gathered::default());
        let ours = Arc::clone(&gathered);
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = pipe.read(&mut buffer).unwrap_or(0);
                let mut state = ours.state.lock().unwrap();
                state.bytes.extend_from_slice(&buffer[..read]);
                state.ended = read == 0;
                ours.changed.notify_all();
                if read == 0 {
                    break;
                }
            }
        });
        gathered
    }

    fn wait_until<T>(&self, enough: &impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + DEADLINE;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(found) = enough(&String::from_utf8_lossy(&state.bytes)) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    fn wait_for_end(&self) {
        let state = self.state.lock().unwrap();
        let _ended = self.changed.wait_timeout_while(state, DEADLINE, |state| !state.ended).unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }
}
