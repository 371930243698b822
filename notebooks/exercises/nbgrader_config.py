"""nbgrader's settings for this folder: run `nbgrader` here. See TEACHING.md."""

c = get_config()  # noqa: F821 - given by nbgrader

c.CourseDirectory.course_id = "cifar10-course"
c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("your answer is missing here")'}
c.ClearSolutions.text_stub = "*Your answer goes here.*"
c.Execute.timeout = 120  # seconds a cell may take on a busy server
c.Exchange.path_includes_course = True
c.OverwriteCells.add_missing_cells = True  # tests that a student deleted come back
