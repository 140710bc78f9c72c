//! A broker on the port given, for measurements: `serve 1883 [worker threads]`.
#![allow(clippy::print_stdout, reason = "this program talks to a person at a terminal")]

use std::time::Duration;

use karere_broker::Broker;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or_else(|| "1883".to_owned());
    let threads = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(2);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let broker = Broker::builder()
            .listen(format!("127.0.0.1:{port}"))
            .sys_interval(Duration::ZERO)
            .start()
            .await?;
        println!("{:?}", broker.local_addrs());
        std::future::pending::<()>().await;
        Ok(())
    })
}
