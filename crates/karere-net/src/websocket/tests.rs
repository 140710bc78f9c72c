mod frames;
mod upgrade;

use super::*;

/// A client and a server after the upgrade.
fn open() -> (Filter, Filter) {
    let mut client = Filter::client(&ClientOptions::new("h")).unwrap();
    let mut server = Filter::server(ServerOptions::default());
    let mut plain = BytesMut::new();
    server.handle_input(client.poll_transmit(), &mut plain).unwrap();
    client.handle_input(server.poll_transmit(), &mut plain).unwrap();
    assert!(client.is_open() && server.is_open() && plain.is_empty());
    (client, server)
}

fn transmit(filter: &mut Filter) -> BytesMut {
    std::mem::take(filter.poll_transmit())
}

/// Gives `bytes` to `filter` in pieces of these sizes, again and again. What came out of it.
fn feed(filter: &mut Filter, bytes: &[u8], sizes: &[usize]) -> Result<BytesMut, Error> {
    let (mut input, mut plain) = (BytesMut::new(), BytesMut::new());
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        input.extend_from_slice(piece);
        filter.handle_input(&mut input, &mut plain)?;
        rest = after;
    }
    Ok(plain)
}
