"""The outputs of a network: the class itself, or several parts of a class, such as the verb and the
noun of an action. Everything else has one entry for each output."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Output(NamedTuple):
    """One output."""

    name: str
    """Such as verb; empty where it is the class itself."""
    class_names: list[str]
    """(P,) what it may be."""
    of_class: list[int]
    """(K,) which of them each class of the data set has."""


class Outputs:
    """The outputs of a network, with sizes P1, P2, ...: a sequence of ``Output``.

    Args:
        class_names: (K,) the classes of the data set.
        several: the parts of classes, each with its own head. None: the class is the only output.

    Raises:
        ValueError: a class lacks one of ``several``, or has an unknown one.
    """

    def __init__(self, class_names: Sequence[str], several: Sequence[Output] = ()) -> None:
        self.class_names = list(class_names)
        self.several = tuple(several)
        """Empty where the class is the only output."""
        for output in self.several:
            known = range(len(output.class_names))
            if len(output.of_class) != len(class_names) or not {*output.of_class} <= {*known}:
                raise ValueError(
                    f"each of the {len(class_names)} classes must have one of {len(known)} "
                    f"{output.name}s"
                )
        itself = Output("", self.class_names, [*range(len(class_names))])
        self._all = self.several or (itself,)
        self.sizes = [len(output.class_names) for output in self._all]
        """How the logits (B, P1 + P2 + ...) divide."""

    @classmethod
    def unnamed(cls, num_classes: int) -> "Outputs":
        """One output of ``num_classes`` classes, named by their numbers."""
        return cls([str(number) for number in range(num_classes)])

    @property
    def rows(self) -> list[tuple[int, str]]:
        """Number and name of each row of ``difficulty.csv``, output by output.

        The classes of several outputs are numbered after the K classes of the data set.
        """
        if not self.several:
            return [*enumerate(self.class_names)]
        names = (f"{output.name} {name}" for output in self for name in output.class_names)
        return [*enumerate(names, start=len(self.class_names))]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Output]:
        return iter(self._all)

    def __getitem__(self, index: int) -> Output:
        return self._all[index]

    def __eq__(self, other: object) -> bool:
        same = (self.class_names, self.several)
        return isinstance(other, Outputs) and same == (other.class_names, other.several)

    __hash__ = None  # type: ignore[assignment]

    def plain(self) -> dict[str, Any]:
        """``several`` as plain values, for a checkpoint; empty for a single output."""
        return {
            output.name: {"names": output.class_names, "of_class": output.of_class}
            for output in self.several
        }

    @classmethod
    def of_plain(cls, class_names: Sequence[str], content: Any) -> "Outputs":
        """Read from the values of ``plain``.

        Raises:
            ValueError: the values are wrong, or do not fit ``class_names``.
        """
        try:
            several = [
                Output(str(name), [*map(str, one["names"])], [*map(int, one["of_class"])])
                for name, one in (content or {}).items()
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"outputs must have names and of_class: {error}") from None
        return cls(class_names, several)
