from service import heap


class Library:
    """The C library, as far as it is asked; or another, which knows nothing of this."""

    def __init__(self, *known: str) -> None:
        self.asked: list[tuple[object, ...]] = []
        for name in known:
            setattr(self, name, lambda *values, name=name: self.asked.append((name, *values)))


def test_there_are_no_more_arenas_than_cores_and_large_blocks_are_the_systems_own(monkeypatch):
    library = Library("mallopt", "malloc_trim")
    monkeypatch.setattr(heap, "_libc", library)
    monkeypatch.setattr(heap.os, "sched_getaffinity", lambda _: set(range(2)))
    heap.keep_little()
    heap.give_back()
    assert library.asked == [("mallopt", -8, 2), ("mallopt", -3, 2**20), ("mallopt", -1, 2**22), ("malloc_trim", 0)]


def test_where_the_c_library_is_another_nothing_is_done(monkeypatch):
    monkeypatch.setattr(heap, "_libc", Library())
    heap.keep_little()
    heap.give_back()


def test_the_library_of_this_machine_takes_it():
    heap.keep_little()
    heap.give_back()
