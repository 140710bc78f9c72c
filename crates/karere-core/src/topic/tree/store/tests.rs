use alloc::string::String;

use proptest::prelude::*;

use super::*;

impl Value for u32 {
    fn is_vacant(&self) -> bool {
        *self == 0
    }

    fn heap_bytes(&self) -> usize {
        0
    }
}

impl<T: Value> Store<T> {
    /// Checks that every link has its counterpart, and that nothing is left over.
    fn assert_sound(&self) {
        let used = |id: &NodeId| self.nodes[*id as usize].parent != FREE;
        let ids = || 0..self.nodes.len() as NodeId;
        let (mut named, mut children) = (0, 0);
        for id in ids().filter(used) {
            let node = &self.nodes[id as usize];
            assert!(
                id == ROOT || node.first_child != NONE || !node.value.is_vacant(),
                "a node leads nowhere"
            );
            let (mut previous, mut child) = (NONE, node.first_child);
            while let Some(below) = self.node(child) {
                assert_eq!((below.parent, below.previous), (id, previous));
                let found = match below.level() {
                    b"+" => node.plus,
                    b"#" => node.hash,
                    level => {
                        named += 1;
                        self.named_child(id, level).unwrap()
                    }
                };
                assert_eq!(found, child);
                children += 1;
                (previous, child) = (child, below.next);
            }
        }
        assert_eq!((self.edges.len(), self.len()), (named, children));
        let (mut free, mut free_len) = (self.free, 0);
        while let Some(node) = self.node(free) {
            assert_eq!(node.parent, FREE);
            (free, free_len) = (node.next, free_len + 1);
        }
        assert_eq!(free_len, self.free_len);
        assert_eq!(ids().filter(used).count(), self.len() + 1);
    }

    fn set(&mut self, path: &str, value: T) {
        let id = self.insert(path, 0).unwrap();
        self.node_mut(id).unwrap().value = value;
    }

    fn clear(&mut self, path: &str) {
        let Some(id) = self.find(path) else { return };
        self.node_mut(id).unwrap().value = T::default();
        self.prune(id);
    }
}

#[test]
fn a_subscription_node_takes_nine_words() {
    type Entries = crate::topic::tree::entries::Entries<(u32, u32), [u32; 2]>;
    assert!(size_of::<Node<Entries>>() <= 72, "{} bytes", size_of::<Node<Entries>>());
}

#[test]
fn a_store_that_was_compacted_is_sound_and_goes_on() {
    let mut store = Store::<u32>::new(5, Limits::default());
    let path =
        |number: u32| [String::from("+/a"), alloc::format!("{number}/#"), alloc::format!("x/{number}")];
    (1..=3 * COMPACT_MIN as u32)
        .for_each(|number| path(number).iter().for_each(|path| store.set(path, number)));
    store.assert_sound();
    let before = store.nodes.len();
    (50..=3 * COMPACT_MIN as u32).for_each(|number| path(number).iter().for_each(|path| store.clear(path)));
    assert!(store.nodes.len() < before / 2);
    store.assert_sound();
    store.set("x/+/y/z", 1);
    store.assert_sound();
}

proptest! {
    #[test]
    fn a_store_is_sound_after_every_step(
        steps in prop::collection::vec((any::<bool>(), "(([ab]?|\\+)/){0,3}([ab]?|\\+|#)"), 0..60),
    ) {
        let mut store = Store::<u32>::new(5, Limits::default());
        for (set, path) in &steps {
            if *set { store.set(path, 1) } else { store.clear(path) }
            store.assert_sound();
        }
        steps.iter().for_each(|(_, path)| store.clear(path));
        prop_assert_eq!((store.len(), store.edges.len()), (0, 0));
    }
}
