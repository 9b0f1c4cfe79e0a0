"""Pictures of MuJoCo tasks without OpenGL: no display and no graphics library is needed.

The bodies are capsules and spheres, whose outlines under parallel projection are exact with a line and two discs, so
Pillow draws them. Each is drawn three times as large and shrunk, which smooths the edges. A checked ground, or posts
behind a side view, lets motion be seen; nothing in a picture tells a reward or a time.

Source: Christiano et al. 2017, sec. 2.2.2 and appendix B: people see short clips and judge by what they see alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from preflab.control.environments.mujoco_tasks import load_body, task_named
from preflab.control.rendering.pillow import load_pillow
from preflab.errors import DataError

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

WIDTH, HEIGHT = 280, 210
"""Pixels of every picture of a body."""
_FINER = 3
_SKY: Colour = (222, 234, 244)
_POST: Colour = (196, 212, 227)
_TILES: tuple[Colour, Colour] = ((206, 214, 200), (186, 197, 181))
_SHADE: Colour = (150, 160, 146)
_EYE: Colour = (30, 30, 40)
_PLANE, _SPHERE, _CAPSULE, _CYLINDER = 0, 2, 3, 5  # MuJoCo's numbers of shapes


@dataclass(frozen=True, kw_only=True)
class View:
    """Where a task is looked at from. Lengths in metres, directions in the world's axes (x forward, z up)."""

    right: tuple[float, float, float]
    """Direction that points right in the picture, of length 1."""
    up: tuple[float, float, float]
    """Direction that points up in it, of length 1, square to ``right``."""
    width: float
    """Of what is seen."""
    centre: Point = (0.0, 0.0)
    """What is in the middle of the picture, along ``right`` and ``up``; added to the body's where that is followed."""
    follow: tuple[bool, bool] = (False, False)
    """Whether the picture's middle follows that of the body, along ``right`` and along ``up``."""
    tile: float = 0.0
    """Side of the ground's tiles; 0: no ground is drawn."""
    eye: tuple[int, float] | None = None
    """Number of the shape that has an eye, and where on its axis. It tells head from tail."""


_SIDE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
_ABOVE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
_TURN, _TILT = np.deg2rad(20.0), np.deg2rad(32.0)
_OBLIQUE = (
    (float(np.cos(_TURN)), float(np.sin(_TURN)), 0.0),
    (float(-np.sin(_TURN) * np.sin(_TILT)), float(np.cos(_TURN) * np.sin(_TILT)), float(np.cos(_TILT))),
)


def _from_side(width: float, height: float, **more: Any) -> View:
    return View(right=_SIDE[0], up=_SIDE[1], width=width, centre=(0.0, height), follow=(True, False), tile=0.5, **more)


VIEWS: dict[str, View] = {
    "reacher": View(right=_ABOVE[0], up=_ABOVE[1], width=0.64, tile=0.1),
    "pendulum": View(right=_SIDE[0], up=_SIDE[1], width=2.6, centre=(0.0, 0.15)),
    "double_pendulum": View(right=_SIDE[0], up=_SIDE[1], width=3.8),
    "half_cheetah": _from_side(3.4, 0.75, eye=(2, 0.11)),
    "ant": View(right=_OBLIQUE[0], up=_OBLIQUE[1], width=5.0, follow=(True, True), tile=1.0),
    "walker": _from_side(3.6, 1.0, eye=(1, 0.16)),
    "hopper": _from_side(3.8, 1.1, eye=(1, 0.16)),
    "swimmer": View(right=_ABOVE[0], up=_ABOVE[1], width=5.6, follow=(True, True), tile=1.0, eye=(1, 0.44)),
}
"""How each task is shown; keys are those of `preflab.control.environments.mujoco_tasks.TASKS`."""


class BodyRenderer:
    """Draws one task's body from its joint positions: a `preflab.control.environments.env.Renderer`.

    Args:
        task  a name in `VIEWS`.

    Raises:
        ConfigError: there is no such task, or mujoco, gymnasium or pillow is not installed.
    """

    def __init__(self, task: str) -> None:
        self._pillow = load_pillow()
        self.model = load_body(task_named(task).file)
        self.task, self.view = task, VIEWS[task]
        import mujoco

        self._mujoco, self._data = mujoco, mujoco.MjData(self.model)
        self._axes = np.array([self.view.right, self.view.up, np.cross(self.view.right, self.view.up)])
        self._shapes = [g for g in range(self.model.ngeom) if self.model.geom_type[g] != _PLANE]
        self._moving = np.flatnonzero(self.model.geom_bodyid != 0)

    def __call__(self, state: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "height width 3"]:
        """One picture.

        Args:
            state  [qpos], every joint's position.

        Raises:
            DataError: another number of positions, or one that is not finite.
        """
        data, model = self._data, self.model
        if state.shape != (model.nq,) or not np.isfinite(state).all():
            raise DataError(f"{self.task}: expected {model.nq} finite joint positions, got {state!r:.120}")
        data.qpos[:] = state
        self._mujoco.mj_kinematics(model, data)
        scene = _Scene(self._pillow, self.view, self._axes, np.asarray(data.geom_xpos[self._moving]).mean(axis=0))
        if self.view.tile:
            scene.ground()
        depth = (np.asarray(data.geom_xpos) @ self._axes[2]).round(6)
        order = sorted(self._shapes, key=lambda g: (depth[g], g))  # what is nearer is drawn later
        for g in order:
            if scene.casts_shadow and g in self._moving:
                scene.shadow(self._ends(g), self._radius(g))
        for g in order:
            red, green, blue = (int(255 * part) for part in model.geom_rgba[g, :3])
            scene.capsule(self._ends(g), self._radius(g), (red, green, blue))
            if self.view.eye is not None and g == self.view.eye[0]:
                scene.dot(self._at(g, (0.0, 0.0, self.view.eye[1])), 0.45 * self._radius(g), _EYE)
        return scene.image()

    def _at(self, g: int, local: tuple[float, float, float]) -> Float[np.ndarray, " 3"]:
        """A point of a shape in the world."""
        turned = np.asarray(self._data.geom_xmat[g]).reshape(3, 3) @ np.array(local)
        return np.asarray(self._data.geom_xpos[g] + turned)

    def _ends(self, g: int) -> Float[np.ndarray, "2 3"]:
        """The middles of a capsule's two ends; of a sphere twice the same."""
        half = float(self.model.geom_size[g, 1]) if self.model.geom_type[g] in (_CAPSULE, _CYLINDER) else 0.0
        return np.stack([self._at(g, (0.0, 0.0, -half)), self._at(g, (0.0, 0.0, half))])

    def _radius(self, g: int) -> float:
        return float(self.model.geom_size[g, 0])


class _Scene:
    """One picture while it is drawn, three times as large as it will be."""

    def __init__(self, pillow: Any, view: View, axes: Float[np.ndarray, "3 3"], body: Float[np.ndarray, " 3"]) -> None:
        self.view, self._axes = view, axes
        self._size = (_FINER * WIDTH, _FINER * HEIGHT)
        self._scale = self._size[0] / view.width
        middle = [float(axes[k] @ body) if view.follow[k] else 0.0 for k in range(2)]
        self._middle = np.array(middle) + np.array(view.centre)
        self._body = body
        self._image = pillow.Image.new("RGB", self._size, _SKY)
        self._draw = pillow.ImageDraw.Draw(self._image)

    @property
    def casts_shadow(self) -> bool:
        """Whether the ground is seen from above and at a slant: a shadow then tells height."""
        return bool(self.view.tile) and 0 < self.view.up[2] < 1

    def _project(self, points: Float[np.ndarray, "point 3"]) -> list[Point]:
        """Pixels, the upper left corner first."""
        flat = (points @ self._axes[:2].T - self._middle) * self._scale
        return [(self._size[0] / 2 + x, self._size[1] / 2 - y) for x, y in flat.tolist()]

    def ground(self) -> None:
        """A checked floor; from the side, its edge and posts behind it."""
        if self.view.up == _SIDE[1]:
            self._ground_from_side()
            return
        for dark, corners in self._tiles():
            self._draw.polygon(self._project(corners), fill=_TILES[dark])

    def _tiles(self) -> Iterator[tuple[int, Float[np.ndarray, "4 3"]]]:
        tile, reach = self.view.tile, round(1.5 * self.view.width / self.view.tile)
        first = np.floor(self._body[:2] / tile).astype(int) - reach
        for i in range(int(first[0]), int(first[0]) + 2 * reach + 1):
            for j in range(int(first[1]), int(first[1]) + 2 * reach + 1):
                corners = [(i, j, 0), (i + 1, j, 0), (i + 1, j + 1, 0), (i, j + 1, 0)]
                yield (i + j) % 2, tile * np.array(corners, dtype=np.float64)

    def _ground_from_side(self) -> None:
        tile, (width, height) = self.view.tile, self._size
        left = self._middle[0] - self.view.width / 2
        [(_, level)] = self._project(np.zeros((1, 3)))
        for i in range(int(np.floor(left / tile)), int(np.ceil((left + self.view.width) / tile)) + 1):
            [(x, _)] = self._project(np.array([[i * tile, 0.0, 0.0]]))
            if i % 2 == 0:
                self._draw.line([(x, 0), (x, level)], fill=_POST, width=2 * _FINER)
            self._draw.rectangle([x, level, x + tile * self._scale, height], fill=_TILES[i % 2])
        self._draw.line([(0, level), (width, level)], fill=_SHADE, width=_FINER)

    def shadow(self, ends: Float[np.ndarray, "2 3"], radius: float) -> None:
        """What a shape darkens of the ground below it."""
        self._stroke(self._project(ends * np.array([1.0, 1.0, 0.0])), 0.8 * radius * self._scale, _SHADE)

    def capsule(self, ends: Float[np.ndarray, "2 3"], radius: float, colour: Colour) -> None:
        """A capsule or sphere with a darker rim."""
        points, wide = self._project(ends), radius * self._scale
        rim = tuple(int(0.62 * part) for part in colour)
        self._stroke(points, wide, rim)
        self._stroke(points, max(wide - 1.4 * _FINER, 0.55 * wide), colour)

    def dot(self, at: Float[np.ndarray, " 3"], radius: float, colour: Colour) -> None:
        """A disc on top of all that was drawn."""
        self._disc(self._project(at[None])[0], radius * self._scale, colour)

    def _stroke(self, points: list[Point], radius: float, colour: Any) -> None:
        """Two discs and what is between them."""
        a, b = np.array(points[0]), np.array(points[1])
        length = float(np.linalg.norm(b - a))
        if length > 1e-6:
            side = np.array([a[1] - b[1], b[0] - a[0]]) / length * radius
            self._draw.polygon([tuple(p) for p in (a + side, b + side, b - side, a - side)], fill=colour)
        for point in points:
            self._disc(point, radius, colour)

    def _disc(self, at: Point, radius: float, colour: Any) -> None:
        self._draw.ellipse([at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius], fill=colour)

    def image(self) -> UInt8[np.ndarray, "height width 3"]:
        """The picture at its own size."""
        return np.asarray(self._image.reduce(_FINER))
